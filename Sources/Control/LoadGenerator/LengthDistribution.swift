/// How many tokens prompts or answers have: what `--prompt-tokens` and `--output-tokens` name.
public enum LengthDistribution: Sendable, Equatable {
    /// Always as many.
    case constant(Int)
    /// Any from the first to the last, equally likely.
    case uniform(ClosedRange<Int>)
    /// Rounded, and not below 1 or above ``maximum``.
    case normal(mean: Double, deviation: Double)
    /// One of these, equally likely: lengths seen elsewhere. Not empty.
    case observed([Int])

    /// The most tokens that may be asked for.
    public static let maximum = 1_000_000
    private static let allowed = 1...maximum

    /// Reads `128`, `uniform:64,256`, `normal:128,32` or `file:PATH` (a number a line).
    /// - Parameter content: gives the text of a file.
    public init(_ text: String, content: (String) throws -> String) throws {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let values = parts.count == 2 ? parts[1].split(separator: ",", omittingEmptySubsequences: false) : []
        switch (parts.first, parts.count) {
        case (_, 1):
            if let count = Int(text), Self.allowed.contains(count) {
                self = .constant(count)
                return
            }
        case ("uniform", 2):
            if values.count == 2, let low = Int(values[0]), let high = Int(values[1]), low <= high,
                Self.allowed.contains(low), Self.allowed.contains(high)
            {
                self = .uniform(low...high)
                return
            }
        case ("normal", 2):
            if values.count == 2, let mean = Double(values[0]), let deviation = Double(values[1]),
                (1...Double(Self.maximum)).contains(mean), (0...Double(Self.maximum)).contains(deviation)
            {
                self = .normal(mean: mean, deviation: deviation)
                return
            }
        case ("file", 2):
            self = .observed(try Self.lengths(in: content(String(parts[1])), of: String(parts[1])))
            return
        default: break
        }
        throw LoadGeneratorError(
            .badOption,
            "length \"\(text)\": expected a number, uniform:LOW,HIGH, normal:MEAN,DEVIATION or file:PATH, with "
                + "lengths of 1 to \(Self.maximum)")
    }

    private static func lengths(in text: String, of path: String) throws(LoadGeneratorError) -> [Int] {
        var lengths: [Int] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.isEmpty { continue }
            guard words.count == 1, let length = Int(words[0]), allowed.contains(length) else {
                throw LoadGeneratorError(
                    .badOption, "\(path):\(number + 1): expected a number of tokens, 1 to \(maximum)")
            }
            lengths.append(length)
        }
        guard !lengths.isEmpty else { throw LoadGeneratorError(.badOption, "\(path): no lengths in it") }
        return lengths
    }

    /// A length drawn at random.
    func draw(_ generator: inout SeededGenerator) -> Int {
        switch self {
        case .constant(let count): count
        case .uniform(let range): Int.random(in: range, using: &generator)
        case .normal(let mean, let deviation):
            Int(max(1, min(Double(Self.maximum), (mean + deviation * generator.normal()).rounded())))
        case .observed(let lengths): lengths[Int.random(in: lengths.indices, using: &generator)]
        }
    }
}
