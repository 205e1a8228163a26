extension WordScanner {
    private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    private static let spaceTail = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    private static let upper = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
    private static let lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

    private static func llama3(_ numbers: String) -> String {
        "\(contractions)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\(numbers)| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\(spaceTail)"
    }

    /// The patterns, as model files write them, that each kind stands for.
    static let patterns: [(pattern: String, kind: Kind)] = [
        ("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", .gpt2),
        (llama3("\\p{N}{1,3}"), .llama3(digits: 3, takesMarks: false)),
        (llama3("\\p{N}"), .llama3(digits: 1, takesMarks: false)),
        (llama3("\\p{N}+"), .llama3(digits: .max, takesMarks: false)),
        (
            "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
                + "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
            .llama3(digits: 3, takesMarks: false)
        ),
        (
            "\(contractions)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
                + "|\(spaceTail)",
            .llama3(digits: 1, takesMarks: true)
        ),
        (
            "\(upper)*\(lower)+\(contractions)?|\(upper)+\(lower)*\(contractions)?|\\p{N}{1,3}"
                + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\(spaceTail)",
            .o200k(digits: 3, takesContractions: true)
        ),
        (
            "\(upper)*\(lower)+|\(upper)+\(lower)*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\(spaceTail)",
            .o200k(digits: 1, takesContractions: false)
        ),
        (
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                + "| ?[\\p{P}\\p{S}]+[\r\n]*|\(spaceTail)",
            .deepSeek3
        ),
        ("\\p{N}{1,3}", .numbers(digits: 3)),
        ("\\p{N}", .numbers(digits: 1)),
        ("\\p{N}+", .numbers(digits: .max)),
    ]

    /// The scanner of a pattern, if there is one.
    init?(pattern: String) {
        guard let known = Self.patterns.first(where: { $0.pattern.utf8.elementsEqual(pattern.utf8) }) else {
            return nil
        }
        kind = known.kind
    }
}
