/// Names in `\p{...}` and `[[:...:]]`.
enum PatternProperties {
    private static let names: [String: ScalarSet] = {
        var names: [String: ScalarSet] = [:]
        for category in UnicodeTables.Category.allCases { names["\(category)"] = .category(category) }
        names["l"] = .letter
        names["m"] = .mark
        names["n"] = .number
        names["p"] = .punctuation
        names["s"] = .symbol
        names["z"] = .separator
        names["c"] = .other
        names["any"] = .allCategories
        names["letter"] = .letter
        names["mark"] = .mark
        names["number"] = .number
        names["punctuation"] = .punctuation
        names["punct"] = [.punctuation, .symbol]
        names["symbol"] = .symbol
        names["separator"] = .separator
        names["other"] = .other
        names["digit"] = .category(.nd)
        names["space"] = .space
        names["whitespace"] = .space
        names["word"] = .word
        return names
    }()

    /// The properties of a name, ignoring case.
    static func named(_ name: String) -> ScalarSet? { names[name.lowercased()] }

    /// The scalars of a script, ignoring case.
    static func script(named name: String) -> PatternClass? {
        guard name.lowercased() == "han" else { return nil }
        return PatternClass([
            .range(0x2E80, 0x2E99), .range(0x2E9B, 0x2EF3), .range(0x2F00, 0x2FD5), .range(0x3005, 0x3005),
            .range(0x3007, 0x3007), .range(0x3021, 0x3029), .range(0x3038, 0x303B), .range(0x3400, 0x4DBF),
            .range(0x4E00, 0x9FFF), .range(0xF900, 0xFA6D), .range(0xFA70, 0xFAD9), .range(0x16FE2, 0x16FE3),
            .range(0x16FF0, 0x16FF1), .range(0x20000, 0x2A6DF), .range(0x2A700, 0x2B739), .range(0x2B740, 0x2B81D),
            .range(0x2B820, 0x2CEA1), .range(0x2CEB0, 0x2EBE0), .range(0x2EBF0, 0x2EE5D), .range(0x2F800, 0x2FA1D),
            .range(0x30000, 0x3134A), .range(0x31350, 0x323AF),
        ])
    }
}
