/// Some of a model's linear slots.
struct SlotSet: Hashable, Sendable {
    /// Bit i of word w: slot 64 w + i. No zeros at the end.
    private var words: [UInt64] = []

    var isEmpty: Bool { words.isEmpty }

    func contains(_ slot: Int) -> Bool { slot / 64 < words.count && words[slot / 64] >> UInt64(slot % 64) & 1 == 1 }

    mutating func insert(_ slot: Int) {
        while words.count <= slot / 64 { words.append(0) }
        words[slot / 64] |= 1 << UInt64(slot % 64)
    }

    mutating func formUnion(_ other: SlotSet) {
        while words.count < other.words.count { words.append(0) }
        for index in other.words.indices { words[index] |= other.words[index] }
    }
}
