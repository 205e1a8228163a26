import Testing

@testable import ServingTokenizers

@Suite struct WordScannerTests {
    /// The words that a compiled pattern makes: matches and what lies between them.
    private func words(_ pattern: Pattern, _ text: [UInt8]) -> [TextRange] {
        text.withUnsafeBufferPointer { text in
            PreTokenizer.Matcher.pattern(pattern).split(
                text, [TextRange(start: 0, end: text.count)], .isolated, false)
        }
    }

    @Test(arguments: WordScanner.patterns.indices)
    func scannersEqualTheirPatterns(index: Int) throws {
        let (source, kind) = WordScanner.patterns[index]
        let pattern = try Pattern(source)
        var random = SeededGenerator(state: UInt64(index) + 1)
        for _ in 0..<300 {
            let text = Array(random.text(count: Int.random(in: 0..<30, using: &random)).utf8)
            let scanned = text.withUnsafeBufferPointer { bytes in
                var words: [TextRange] = []
                WordScanner(kind: kind).appendWords(bytes, TextRange(start: 0, end: bytes.count), to: &words)
                return words
            }
            #expect(scanned == words(pattern, text), "\(String(decoding: text, as: UTF8.self).debugDescription)")
        }
    }

    @Test func patternsFollowPerl() throws {
        func matches(_ source: String, _ text: String) throws -> [String] {
            let pattern = try Pattern(source)
            let bytes = Array(text.utf8)
            return words(pattern, bytes).map { String(decoding: bytes[$0.start..<$0.end], as: UTF8.self) }
        }
        #expect(try matches("a|ab", "abab") == ["a", "b", "a", "b"])
        #expect(try matches("a{2,3}?", "aaaaa") == ["aa", "aa", "a"])
        #expect(try matches("(?:ab)++c|a", "ababc") == ["ababc"])
        #expect(try matches("(?i:K)", "k\u{212A}x") == ["k", "\u{212A}", "x"])
        #expect(try matches("(?<=a)b", "bab") == ["ba", "b"])
        #expect(try matches("(?=b)", "abab") == ["a", "ba", "b"])
        #expect(try matches("[\\p{L}&&[^a-c]]+", "abcdef") == ["abc", "def"])
        #expect(try matches("\\s+$", "a  \nb  ") == ["a", "  ", "\nb", "  "])
    }

    @Test(arguments: ["(", ")", "[a", "a{3,2}", "\\p{Nonsense}", "(?<n", "*a", "\\1", "(a*)*", "[z-a]", "\\"])
    func malformedPatternsAreRefused(source: String) {
        #expect(throws: TokenizerError.self) { try Pattern(source) }
    }

    @Test func patternsThatBacktrackALotEnd() throws {
        let text = Array(String(repeating: "a", count: 2000).utf8)
        #expect(words(try Pattern("(?:a|a)+b"), text).count == 1)
        #expect(words(try Pattern("(?:a+)+b|a"), text).count == 2000)
        let digits = Array(String(repeating: "1", count: 3000).utf8)
        #expect(words(try Pattern("\\d{1,3}(?=(?:\\d{3})*\\b)"), digits).count == 1000)
        #expect(words(try Pattern("\\s+$|x"), Array(String(repeating: " ", count: 5000).utf8) + [97]).count == 1)
    }

    @Test func deeplyNestedPatternsAreRefused() {
        let source = String(repeating: "(", count: 10_000) + String(repeating: ")", count: 10_000)
        #expect(throws: TokenizerError.self) { try Pattern(source) }
        #expect(throws: TokenizerError.self) { try Pattern("(?:(?:ab){1000}){1000}") }
    }
}
