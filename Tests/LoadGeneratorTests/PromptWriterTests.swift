import Testing

@testable import LoadGenerator

@Suite struct PromptWriterTests {
    @Test func promptsHaveAWordAToken() {
        let writer = PromptWriter(seed: 3)
        for count in [1, 2, 3, 4, 128, 1000] {
            #expect(writer.text(index: 5, tokenCount: count).split(separator: " ").count == count)
        }
    }

    @Test func noTwoPromptsBeginAlike() {
        let writer = PromptWriter(seed: 3)
        let beginnings = Set(
            (0..<5000).map { index in
                writer.text(index: index, tokenCount: 40).split(separator: " ").prefix(3).joined(separator: " ")
            })
        #expect(beginnings.count == 5000)
        #expect(writer.text(index: 9, tokenCount: 40) == writer.text(index: 9, tokenCount: 40))
    }

    @Test func warmUpUsesOtherPrompts() {
        let writer = PromptWriter(seed: 3)
        let measured = Set((0..<200).map { writer.text(index: $0, tokenCount: 20) })
        #expect(measured.isDisjoint(with: (0..<200).map { writer.forWarmUp.text(index: $0, tokenCount: 20) }))
    }

    @Test func sharedPrefixIsSharedAndNotMore() {
        let writer = PromptWriter(seed: 3, sharedPrefixTokens: 10)
        let texts = (0..<50).map { writer.text(index: $0, tokenCount: 30).split(separator: " ") }
        #expect(Set(texts.map { $0.prefix(10).joined(separator: " ") }).count == 1)
        #expect(Set(texts.map { $0.dropFirst(10).prefix(3).joined(separator: " ") }).count == 50)
        #expect(writer.text(index: 1, tokenCount: 4).split(separator: " ").count == 4)
    }

    @Test func wordsOfSeveralTokensAreLeftOut() throws {
        // A vocabulary that holds all words with the space before them, but for those of five letters, and begins
        // a text with a token of its own.
        var tokens = [0..<0]
        var offset = 0
        for word in PromptVocabulary.probe.split(separator: " ") {
            let start = offset == 0 ? 0 : offset - 1
            let end = offset + word.count
            tokens += word.count == 5 ? [start..<(end - 2), (end - 2)..<end] : [start..<end]
            offset = end + 1
        }
        let vocabulary = try #require(PromptVocabulary(tokens: tokens))
        #expect(vocabulary.words.allSatisfy { $0.count != 5 })
        #expect(vocabulary.words.count > 100)
        #expect(vocabulary.overheadTokens == 1)
        let text = PromptWriter(seed: 1, vocabulary: vocabulary).text(index: 0, tokenCount: 20)
        #expect(text.split(separator: " ").count == 19)
    }

    @Test func aVocabularyOfLettersIsNotUsed() {
        let count = PromptVocabulary.probe.count
        #expect(PromptVocabulary(tokens: (0..<count).map { $0..<($0 + 1) }) == nil)
        #expect(PromptVocabulary(tokens: []) == nil)
    }
}
