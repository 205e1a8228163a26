/// The merges of a byte-pair encoding: (left, right) -> rank and merged token. Open addressing.
struct MergeTable: Sendable {
    /// Key and value in turn; the key is left << 32 | right, all ones where free; the value is rank << 32 | token.
    private var slots: [UInt64]
    private let shift: Int

    private static let free = UInt64.max
    /// What ``merge(_:_:)`` returns for a pair that does not merge; greater than every merge.
    static let none = UInt64.max

    init(capacity: Int) {
        var bits = 4
        while 1 << bits < capacity * 2 { bits += 1 }
        shift = 64 - bits
        slots = Array(repeating: Self.free, count: 2 << bits)
    }

    @inline(__always)
    private func start(_ key: UInt64) -> Int {
        // Multiplicative hashing; the rotation lets both halves reach the top bits.
        let mixed = (key ^ key >> 29) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: ((mixed ^ mixed >> 32) &* 0xD6E8_FEB8_6659_FD93) >> UInt64(shift))
    }

    /// Enters a merge; of equal pairs the last one entered counts, as in the reference.
    mutating func insert(_ left: Int, _ right: Int, rank: Int, token: Int) {
        let key = UInt64(left) << 32 | UInt64(right)
        let mask = slots.count / 2 - 1
        var slot = start(key)
        slots.withUnsafeMutableBufferPointer { slots in
            while slots[slot * 2] != Self.free, slots[slot * 2] != key { slot = (slot + 1) & mask }
            slots[slot * 2] = key
            slots[slot * 2 + 1] = UInt64(rank) << 32 | UInt64(token)
        }
    }

    /// rank << 32 | token of a pair, or ``none``. Ids may be negative for characters without a token.
    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> UInt64 {
        let key = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
        return slots.withUnsafeBufferPointer { slots in
            let mask = slots.count / 2 - 1
            var slot = start(key)
            while true {
                let found = slots[slot * 2]
                if found == key { return slots[slot * 2 + 1] }
                if found == Self.free { return Self.none }
                slot = (slot + 1) & mask
            }
        }
    }
}
