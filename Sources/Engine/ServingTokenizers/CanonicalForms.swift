/// Unicode normalization forms, with the reference's data. UAX #15.
struct CanonicalForm: Sendable, Equatable {
    let isCompatible: Bool
    let isComposed: Bool

    static let nfc = CanonicalForm(isCompatible: false, isComposed: true)
    static let nfd = CanonicalForm(isCompatible: false, isComposed: false)
    static let nfkc = CanonicalForm(isCompatible: true, isComposed: true)
    static let nfkd = CanonicalForm(isCompatible: true, isComposed: false)

    /// Text of scalars below this is left as it is by every form: ASCII.
    private static let untouchedLimit: UInt8 = 0x80

    /// The text in this form. Only stretches beyond ASCII, with the character before them, are looked at.
    func apply(to text: [UInt8]) -> [UInt8] {
        guard text.contains(where: { $0 >= Self.untouchedLimit }) else { return text }
        var output: [UInt8] = []
        output.reserveCapacity(text.count + 16)
        text.withUnsafeBufferPointer { text in
            var offset = 0
            var run: [UInt32] = []
            while offset < text.count {
                if text[offset] < Self.untouchedLimit {
                    output.append(text[offset])
                    offset += 1
                    continue
                }
                run.removeAll(keepingCapacity: true)
                if offset > 0 {
                    run.append(UInt32(text[offset - 1]))
                    output.removeLast()
                }
                while offset < text.count, text[offset] >= Self.untouchedLimit {
                    let (scalar, length) = text.scalar(at: offset)
                    run.append(scalar)
                    offset += length
                }
                for scalar in form(of: run) { output.append(scalar: scalar) }
            }
        }
        return output
    }

    private func form(of scalars: [UInt32]) -> [UInt32] {
        let data = NormalizationData.shared
        var output: [UInt32] = []
        for scalar in scalars { data.appendDecomposition(of: scalar, isCompatible, to: &output) }
        data.reorder(&output)
        return isComposed ? data.compose(output) : output
    }
}

/// Decompositions, compositions and combining classes.
struct NormalizationData: Sendable {
    private var canonical: [UInt32: [UInt32]] = [:]
    private var compatible: [UInt32: [UInt32]] = [:]
    private var composites: [UInt64: UInt32] = [:]
    private var classes: [UInt8] = []

    static let shared = NormalizationData()

    private static let hangulBase: UInt32 = 0xAC00
    private static let hangulCount: UInt32 = 11172
    private static let leadBase: UInt32 = 0x1100
    private static let vowelBase: UInt32 = 0x1161
    private static let trailBase: UInt32 = 0x11A7

    private init() {
        canonical = Self.mappings(UnicodeTables.canonicalMappings)
        compatible = Self.mappings(UnicodeTables.compatibilityMappings)
        for (composite, pair) in Self.mappings(UnicodeTables.compositions) where pair.count == 2 {
            composites[UInt64(pair[0]) << 32 | UInt64(pair[1])] = composite
        }
        var reader = PackedNumbers(UnicodeTables.combiningClassRuns)
        while let length = reader.next(), let value = reader.next(), classes.count < 0x20000 {
            classes.append(contentsOf: repeatElement(UInt8(truncatingIfNeeded: value), count: min(length, 0x20000)))
        }
    }

    private static func mappings(_ packed: StaticString) -> [UInt32: [UInt32]] {
        var reader = PackedNumbers(packed)
        var mappings: [UInt32: [UInt32]] = [:]
        var scalar = 0
        while let gap = reader.next(), let count = reader.next() {
            scalar += gap
            mappings[UInt32(scalar)] = (0..<count).map { _ in UInt32(reader.next() ?? 0xFFFD) }
        }
        return mappings
    }

    func combiningClass(_ scalar: UInt32) -> UInt8 { Int(scalar) < classes.count ? classes[Int(scalar)] : 0 }

    func appendDecomposition(of scalar: UInt32, _ isCompatible: Bool, to output: inout [UInt32]) {
        let syllable = scalar &- Self.hangulBase
        if syllable < Self.hangulCount {
            output.append(Self.leadBase + syllable / 588)
            output.append(Self.vowelBase + syllable % 588 / 28)
            if syllable % 28 != 0 { output.append(Self.trailBase + syllable % 28) }
        } else if isCompatible, let mapping = compatible[scalar] {
            output.append(contentsOf: mapping)
        } else if let mapping = canonical[scalar] {
            output.append(contentsOf: mapping)
        } else {
            output.append(scalar)
        }
    }

    /// Stable sort of each run of scalars with a combining class.
    func reorder(_ scalars: inout [UInt32]) {
        var start = 0
        while start < scalars.count {
            guard combiningClass(scalars[start]) != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < scalars.count, combiningClass(scalars[end]) != 0 { end += 1 }
            if end - start > 1 {
                let ordered = scalars[start..<end].enumerated().sorted {
                    let (left, right) = (combiningClass($0.element), combiningClass($1.element))
                    return left != right ? left < right : $0.offset < $1.offset
                }
                scalars.replaceSubrange(start..<end, with: ordered.map(\.element))
            }
            start = end
        }
    }

    func compose(_ scalars: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        var starter = -1
        var lastClass = -1
        for scalar in scalars {
            let scalarClass = Int(combiningClass(scalar))
            let isBlocked = lastClass >= scalarClass && lastClass != -1
            if starter >= 0, !isBlocked, let composite = composite(output[starter], scalar) {
                output[starter] = composite
                continue
            }
            if scalarClass == 0 {
                starter = output.count
                lastClass = -1
            } else {
                lastClass = scalarClass
            }
            output.append(scalar)
        }
        return output
    }

    private func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
        let lead = first &- Self.leadBase
        let vowel = second &- Self.vowelBase
        if lead < 19, vowel < 21 { return Self.hangulBase + (lead * 21 + vowel) * 28 }
        let syllable = first &- Self.hangulBase
        let trail = second &- Self.trailBase
        if syllable < Self.hangulCount, syllable % 28 == 0, trail > 0, trail < 28 { return first + trail }
        return composites[UInt64(first) << 32 | UInt64(second)]
    }
}
