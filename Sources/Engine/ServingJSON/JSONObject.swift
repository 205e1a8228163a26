/// The members of a JSON object, in the order of the text. Where a key is repeated the last value wins and keeps the
/// place of the first, as in Python.
///
/// Keys are compared byte by byte: `String`'s own equality takes canonically equivalent spellings for one, which would
/// lose entries of a vocabulary.
public struct JSONObject: Sendable, Hashable {
    /// The keys, in order.
    public private(set) var keys: [String] = []
    /// The values, `values[i]` under `keys[i]`.
    public private(set) var values: [JSONValue] = []
    /// Positions by key; only filled once there are more members than a linear search is good for.
    private var index = JSONKeyIndex()

    private static let linearSearchLimit = 8

    /// An object without members.
    public init() {}

    /// An object with the given members; a repeated key takes the last value.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self[key] = value }
    }

    /// An object with `values[i]` under `keys[i]`. Quicker than setting them one by one, because the index is built
    /// once and to size.
    init(keys: [String], values: [JSONValue]) {
        self.keys = keys
        self.values = values
        if keys.count > Self.linearSearchLimit { index.reserve(keys.count) }
        var count = 0
        for position in keys.indices {
            if let earlier = find(keys[position], before: count) {
                self.values[earlier] = values[position]
                continue
            }
            if count != position {
                self.keys[count] = keys[position]
                self.values[count] = values[position]
            }
            count += 1
            if keys.count > Self.linearSearchLimit { index.insert(keys[position], at: count - 1) }
        }
        self.keys.removeLast(keys.count - count)
        self.values.removeLast(keys.count - count)
        if count <= Self.linearSearchLimit { index = JSONKeyIndex() }
    }

    /// How many members there are.
    public var count: Int { keys.count }
    /// Whether there are no members.
    public var isEmpty: Bool { keys.isEmpty }

    /// The members as pairs, in order.
    public var members: Zip2Sequence<[String], [JSONValue]> { zip(keys, values) }

    /// The value under a key, or nil. Setting nil removes the member.
    public subscript(key: String) -> JSONValue? {
        get { find(key, before: keys.count).map { values[$0] } }
        set {
            guard let newValue else {
                remove(key)
                return
            }
            if let position = find(key, before: keys.count) {
                values[position] = newValue
            } else {
                append(key, newValue)
            }
        }
    }

    /// The position of a key among the first `count` members, all of which are in the index if it is in use.
    private func find(_ key: String, before count: Int) -> Int? {
        guard index.isEmpty else { return index.position(of: key, in: keys) }
        for position in 0..<count where keys[position].utf8.elementsEqual(key.utf8) { return position }
        return nil
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        keys.append(key)
        values.append(value)
        if !index.isEmpty {
            index.insert(key, at: keys.count - 1)
        } else if keys.count > Self.linearSearchLimit {
            buildIndex()
        }
    }

    private mutating func remove(_ key: String) {
        guard let position = find(key, before: keys.count) else { return }
        keys.remove(at: position)
        values.remove(at: position)
        index = JSONKeyIndex()
        if keys.count > Self.linearSearchLimit { buildIndex() }
    }

    private mutating func buildIndex() {
        index.reserve(keys.count)
        for (position, key) in keys.enumerated() { index.insert(key, at: position) }
    }

    /// Objects are equal when they hold the same members, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0] == $1 }
    }

    /// Hashes the members regardless of order.
    public func hash(into hasher: inout Hasher) {
        var combined = 0
        for (key, value) in members {
            var member = Hasher()
            member.combine(JSONKeyIndex.hash(key))
            member.combine(value)
            combined ^= member.finalize()
        }
        hasher.combine(combined)
    }
}

/// Positions of keys in an array of keys: open addressing with linear probing, at most half full.
///
/// A vocabulary has hundreds of thousands of keys; this is several times quicker to fill than `Dictionary`.
struct JSONKeyIndex: Sendable {
    /// A slot holds the position plus one in its low half, zero where empty, and half of the hash in its high half.
    private var slots: [UInt64] = []
    private var count = 0

    /// Drawn at start, so that no file can be made whose keys all collide.
    private static let seed = UInt64.random(in: .min ... .max) | 1

    /// Whether there are no slots at all.
    var isEmpty: Bool { slots.isEmpty }

    /// Makes room for `count` keys in all.
    mutating func reserve(_ count: Int) {
        var size = max(slots.count, 16)
        while size < count * 2 { size *= 2 }
        guard size > slots.count else { return }
        let old = slots
        slots = [UInt64](repeating: 0, count: size)
        for slot in old where slot != 0 { place(slot) }
    }

    /// Adds a key that is not there yet.
    mutating func insert(_ key: String, at position: Int) {
        count += 1
        if count * 2 > slots.count { reserve(count) }
        place(Self.hash(key) & 0xFFFF_FFFF_0000_0000 | UInt64(position + 1))
    }

    /// Where a key is among `keys`, the array whose positions were inserted.
    func position(of key: String, in keys: [String]) -> Int? {
        let hash = Self.hash(key)
        var slot = Int(hash >> 32) & (slots.count - 1)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == hash >> 32 {
                let position = Int(slots[slot] & 0xFFFF_FFFF) - 1
                if keys[position].utf8.elementsEqual(key.utf8) { return position }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private mutating func place(_ entry: UInt64) {
        var slot = Int(entry >> 32) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = entry
    }

    /// Multiplies eight bytes at a time into a seeded state, folding each 128-bit product.
    static func hash(_ key: String) -> UInt64 {
        var key = key
        return key.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            var state = seed ^ UInt64(bytes.count)
            var offset = 0
            while offset + 8 <= bytes.count {
                state = mix(state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset += 8
            }
            var tail: UInt64 = 0
            while offset < bytes.count {
                tail = tail << 8 | UInt64(bytes[offset])
                offset += 1
            }
            return mix(mix(state ^ tail) ^ seed)
        }
    }

    private static func mix(_ state: UInt64) -> UInt64 {
        // The multiplier is the golden ratio's fraction, times 2^64, made odd; the seed keeps it unknown outside.
        let product = (state ^ seed).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}
