import Glibc

/// Many byte strings in one buffer, by position. A missing string is empty.
struct ByteStrings: Sendable {
    private(set) var bytes: [UInt8]
    /// `offsets[i]..<offsets[i + 1]` are the bytes of string i.
    private(set) var offsets: [UInt32]

    init(reservingBytes byteCount: Int = 0, strings: Int = 0) {
        bytes = []
        bytes.reserveCapacity(byteCount)
        offsets = [0]
        offsets.reserveCapacity(strings + 1)
    }

    /// Strings that lie in one buffer already, each given by its end; nil where the ends are not in order or beyond it.
    init?(bytes: [UInt8], ends: [Int]) {
        var offsets: [UInt32] = [0]
        offsets.reserveCapacity(ends.count + 1)
        var last = 0
        for end in ends {
            guard end >= last, end <= bytes.count, end <= Int(UInt32.max) else { return nil }
            offsets.append(UInt32(end))
            last = end
        }
        self.bytes = bytes
        self.offsets = offsets
    }

    var count: Int { offsets.count - 1 }

    mutating func append(_ string: some Sequence<UInt8>) {
        bytes.append(contentsOf: string)
        offsets.append(UInt32(bytes.count))
    }

    /// Appends what `body` appends to the buffer as one string.
    mutating func append<Result>(_ body: (inout [UInt8]) -> Result) -> Result {
        let result = body(&bytes)
        offsets.append(UInt32(bytes.count))
        return result
    }

    subscript(position: Int) -> ArraySlice<UInt8> { bytes[Int(offsets[position])..<Int(offsets[position + 1])] }

    func byteCount(_ position: Int) -> Int { Int(offsets[position + 1] - offsets[position]) }

    func withString<Result>(_ position: Int, _ body: (UTF8Text) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { body($0.slice(Int(offsets[position]), Int(offsets[position + 1]))) }
    }
}

/// Finds the position of a byte string among ``ByteStrings``: open addressing, slots of (hash, position).
struct ByteStringIndex: Sendable {
    /// High half: hash; low half: position + 1; 0 is free.
    private var slots: [UInt64]
    private let mask: Int
    /// Byte count of the longest string.
    private(set) var longest = 0

    init(capacity: Int) {
        var count = 16
        while count < capacity * 2 { count *= 2 }
        slots = Array(repeating: 0, count: count)
        mask = count - 1
    }

    /// Differs from run to run, so that a file cannot be made to collide.
    private static let seed = UInt64.random(in: .min ... .max)

    @inline(__always)
    static func hash(_ bytes: UTF8Text) -> UInt64 { hash(bytes, seed: seed) }

    @inline(__always)
    private static func hash(_ bytes: UTF8Text, seed: UInt64) -> UInt64 {
        var state = seed ^ UInt64(bytes.count)
        guard let base = UnsafeRawPointer(bytes.baseAddress) else { return state }
        var offset = 0
        let count = bytes.count
        while offset + 8 <= count {
            state = mix(state ^ base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var tail: UInt64 = 0
        if count - offset >= 4 {
            tail = UInt64(base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) << 24
            offset += 4
        }
        while offset < count {
            tail = tail << 8 | UInt64(bytes[offset])
            offset += 1
        }
        return mix(state ^ tail)
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }

    /// Enters a string; of equal strings the last one entered is found.
    mutating func insert(_ position: Int, of strings: borrowing ByteStrings) {
        let start = Int(strings.offsets[position])
        let end = Int(strings.offsets[position + 1])
        longest = max(longest, end - start)
        strings.bytes.withUnsafeBufferPointer { all in
            let hash = Self.hash(all.slice(start, end))
            var slot = Int(truncatingIfNeeded: hash) & mask
            let high = hash & 0xFFFF_FFFF_0000_0000
            while slots[slot] != 0 {
                if slots[slot] & 0xFFFF_FFFF_0000_0000 == high,
                    Self.isEqual(strings, Int(UInt32(truncatingIfNeeded: slots[slot])) - 1, all, all.slice(start, end))
                {
                    break
                }
                slot = (slot + 1) & mask
            }
            slots[slot] = high | UInt64(position + 1)
        }
    }

    @inline(__always)
    private static func isEqual(
        _ strings: borrowing ByteStrings, _ position: Int, _ all: UTF8Text, _ bytes: UTF8Text
    ) -> Bool {
        let start = Int(strings.offsets[position])
        guard Int(strings.offsets[position + 1]) - start == bytes.count else { return false }
        guard let left = all.baseAddress, let right = bytes.baseAddress else { return bytes.isEmpty }
        return memcmp(left + start, right, bytes.count) == 0
    }

    /// The position of a string, or -1.
    @inline(__always)
    func position(of bytes: UTF8Text, in strings: borrowing ByteStrings) -> Int {
        let hash = Self.hash(bytes)
        let high = hash & 0xFFFF_FFFF_0000_0000
        return slots.withUnsafeBufferPointer { slots in
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 {
                if slots[slot] & 0xFFFF_FFFF_0000_0000 == high {
                    let position = Int(UInt32(truncatingIfNeeded: slots[slot])) - 1
                    if strings.bytes.withUnsafeBufferPointer({ Self.isEqual(strings, position, $0, bytes) }) {
                        return position
                    }
                }
                slot = (slot + 1) & mask
            }
            return -1
        }
    }
}
