import Glibc

/// Unicode properties as the reference's regular expressions and splitters know them.
///
/// The data is packed text (see the generated `UnicodeTables+Data.swift`), unpacked at first use.
enum UnicodeTables {
    /// Position of a general category in the packed data, and its bit in a ``ScalarSet``.
    enum Category: Int, CaseIterable {
        case cn, lu, ll, lt, lm, lo, mn, mc, me, nd, nl, no, pc, pd, ps, pe, pi, pf, po, sm, sc, sk, so, zs, zl, zp
        case cc, cf, cs, co
    }

    /// Scalars at and above this are private use (planes 15 and 16) or unassigned.
    static let tableCount = 0xE0200

    /// A ``ScalarSet`` with all properties of each scalar below ``tableCount``. The pages of planes without characters
    /// are never touched.
    // Written once before it is shared and never freed.
    nonisolated(unsafe) static let properties: UnsafePointer<UInt32> = makeProperties()

    private static func makeProperties() -> UnsafePointer<UInt32> {
        let memory = calloc(tableCount, MemoryLayout<UInt32>.stride)
        guard let memory else { fatalError("out of memory for the Unicode tables") }
        let table = memory.bindMemory(to: UInt32.self, capacity: tableCount)
        var reader = PackedNumbers(categoryRuns)
        var scalar = 0
        while let length = reader.next(), let value = reader.next() {
            let end = min(scalar + length, tableCount)
            let bits: UInt32 = 1 << UInt32(value & 31) | (value & 32 != 0 ? ScalarSet.word.rawValue : 0)
            if bits != 1 { for index in scalar..<max(scalar, end) { table[index] = bits } }
            scalar += length
        }
        for space in ScalarSet.spaceScalars { table[space] |= ScalarSet.space.rawValue }
        return UnsafePointer(table)
    }

    /// All properties of a scalar.
    @inline(__always)
    static func properties(of scalar: UInt32) -> UInt32 {
        if scalar < UInt32(tableCount) {
            let bits = properties[Int(scalar)]
            return bits == 0 ? 1 : bits
        }
        return scalar >= 0xF0000 && scalar & 0xFFFF < 0xFFFE ? 1 << UInt32(Category.co.rawValue) : 1
    }
}

/// A set of scalars given by properties: general categories, White_Space and `\w`.
struct ScalarSet: OptionSet, Sendable {
    let rawValue: UInt32

    static func category(_ category: UnicodeTables.Category) -> ScalarSet {
        ScalarSet(rawValue: 1 << UInt32(category.rawValue))
    }

    private static func categories(_ list: UnicodeTables.Category...) -> ScalarSet {
        ScalarSet(list.map { category($0) })
    }

    static let letter = categories(.lu, .ll, .lt, .lm, .lo)
    static let mark = categories(.mn, .mc, .me)
    static let number = categories(.nd, .nl, .no)
    static let punctuation = categories(.pc, .pd, .ps, .pe, .pi, .pf, .po)
    static let symbol = categories(.sm, .sc, .sk, .so)
    static let separator = categories(.zs, .zl, .zp)
    static let other = categories(.cc, .cf, .cs, .co, .cn)
    static let allCategories = ScalarSet(rawValue: 0x3FFF_FFFF)
    /// White_Space.
    static let space = ScalarSet(rawValue: 1 << 30)
    /// `\w`.
    static let word = ScalarSet(rawValue: 1 << 31)

    /// The scalars with White_Space, the same in all Unicode versions since 6.3.
    static let spaceScalars: [Int] =
        Array(0x09...0x0D) + [0x20, 0x85, 0xA0, 0x1680] + Array(0x2000...0x200A)
        + [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]

    @inline(__always)
    func has(_ scalar: UInt32) -> Bool { UnicodeTables.properties(of: scalar) & rawValue != 0 }
}

/// Sorted ranges of scalars that are looked up seldom.
struct ScalarRanges: Sendable {
    private let bounds: [UInt32]

    init(_ packed: StaticString) {
        var reader = PackedNumbers(packed)
        var bounds: [UInt32] = []
        var scalar = 0
        while let gap = reader.next(), let length = reader.next() {
            bounds.append(UInt32(scalar + gap))
            scalar += gap + length
            bounds.append(UInt32(scalar))
        }
        self.bounds = bounds
    }

    func contains(_ scalar: UInt32) -> Bool {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] <= scalar { low = middle + 1 } else { high = middle }
        }
        return low % 2 == 1
    }

    static let numeric = ScalarRanges(UnicodeTables.numericRanges)
    static let punctuation = ScalarRanges(UnicodeTables.punctuationRanges)
    static let word = ScalarRanges(UnicodeTables.wordRanges)
    static let accents = ScalarRanges(UnicodeTables.accentRanges)
}

/// Reads the packed data: groups of five bits, lowest first, one character each; bit 5 says that more follow.
struct PackedNumbers {
    private let text: UnsafeBufferPointer<UInt8>
    private var offset = 0

    init(_ packed: StaticString) {
        text = UnsafeBufferPointer(start: packed.utf8Start, count: packed.utf8CodeUnitCount)
    }

    mutating func next() -> Int? {
        var value = 0
        var shift = 0
        while offset < text.count {
            let digit = Self.digit(text[offset])
            offset += 1
            value |= (digit & 31) << shift
            shift += 5
            if digit & 32 == 0 { return value }
        }
        return nil
    }

    private static func digit(_ character: UInt8) -> Int {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(character) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(character) - 97 + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(character) - 48 + 52
        case UInt8(ascii: "+"): 62
        default: 63
        }
    }
}
