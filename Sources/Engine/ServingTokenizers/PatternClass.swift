/// One class of a pattern: what a single scalar may be.
struct PatternClass: Sendable, Equatable {
    /// An operand of a union.
    enum Item: Sendable, Equatable {
        /// Any scalar with one of the properties.
        case properties(UInt32)
        /// Any scalar with none of the properties.
        case withoutProperties(UInt32)
        case range(UInt32, UInt32)
        case nested(PatternClass)
    }

    private(set) var items: [Item]
    private(set) var isNegated: Bool
    /// Further classes that must match as well (`&&`).
    private(set) var intersections: [PatternClass]
    /// The answer for scalars below 128.
    private var ascii: (UInt64, UInt64) = (0, 0)
    /// Where the whole class is a test of properties: the scalar must have one of these.
    private var properties: UInt32 = 0
    private var isProperties = false

    init(_ items: [Item], isNegated: Bool = false, intersections: [PatternClass] = []) {
        self.items = items
        self.isNegated = isNegated
        self.intersections = intersections
        for scalar in 0..<UInt32(64) where evaluate(scalar) { ascii.0 |= 1 << UInt64(scalar) }
        for scalar in 0..<UInt32(64) where evaluate(scalar + 64) { ascii.1 |= 1 << UInt64(scalar) }
        if !isNegated, intersections.isEmpty, items.allSatisfy({ if case .properties = $0 { true } else { false } }) {
            isProperties = true
            for case .properties(let mask) in items { properties |= mask }
        }
    }

    static func == (left: PatternClass, right: PatternClass) -> Bool {
        left.items == right.items && left.isNegated == right.isNegated && left.intersections == right.intersections
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return ascii.0 >> UInt64(scalar) & 1 != 0 }
        if scalar < 128 { return ascii.1 >> UInt64(scalar - 64) & 1 != 0 }
        if isProperties { return UnicodeTables.properties(of: scalar) & properties != 0 }
        return evaluate(scalar)
    }

    private func evaluate(_ scalar: UInt32) -> Bool {
        let inUnion = items.contains { item in
            switch item {
            case .properties(let mask): UnicodeTables.properties(of: scalar) & mask != 0
            case .withoutProperties(let mask): UnicodeTables.properties(of: scalar) & mask == 0
            case .range(let first, let last): first <= scalar && scalar <= last
            case .nested(let inner): inner.contains(scalar)
            }
        }
        return (inUnion && intersections.allSatisfy { $0.contains(scalar) }) != isNegated
    }

    /// The class with the other case of each letter added.
    func ignoringCase() -> PatternClass {
        var added: [Item] = []
        for case .range(let first, let last) in items where last - first <= 0x1000 {
            for scalar in first...last {
                for other in Self.otherCases(of: scalar) { added.append(.range(other, other)) }
            }
        }
        return PatternClass(items + added, isNegated: isNegated, intersections: intersections)
    }

    /// Scalars equal to this one but for case (simple mappings, and the long s and kelvin sign that fold to ASCII).
    private static func otherCases(of value: UInt32) -> [UInt32] {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        var others: [UInt32] = []
        for mapping in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
            let scalars = mapping.unicodeScalars
            if scalars.count == 1, let first = scalars.first, first != scalar { others.append(first.value) }
        }
        if value | 0x20 == 0x73 { others.append(0x17F) }
        if value | 0x20 == 0x6B { others.append(0x212A) }
        return others
    }
}
