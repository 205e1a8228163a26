import ServingTensors
import ServingTokenizers
import Testing

@Suite struct StreamingDetokenizerTests {
    @Test(arguments: TokenizerFixture.small)
    func streamedTextJoinsToDecodedText(fixture: TokenizerFixture) throws {
        let tokenizer = try fixture.load()
        var random = SeededGenerator(state: 11)
        for round in 0..<200 {
            // Also ids out of the vocabulary.
            let ids = (0..<Int.random(in: 0..<20, using: &random)).map { _ in
                TokenID.random(in: -2..<TokenID(tokenizer.vocabularyCount + 2), using: &random)
            }
            let skips = round % 2 == 0
            var stream = StreamingDetokenizer(tokenizer, skippingSpecialTokens: skips)
            var text = ids.map { stream.append($0) }.joined()
            text += stream.finish()
            let decoded = tokenizer.decode(ids, skippingSpecialTokens: skips)
            #expect(Array(text.utf8) == Array(decoded.utf8), "\(ids)")
        }
    }

    @Test func halfACharacterIsHeldBack() throws {
        let tokenizer = try TokenizerFixture.named("gpt2").load()
        let ids = Array("🙂".utf8).compactMap { byte in
            (0..<TokenID(tokenizer.vocabularyCount)).first { tokenizer.bytes(of: $0) == [byte] }
        }
        try #require(ids.count == 4)
        var stream = StreamingDetokenizer(tokenizer, skippingSpecialTokens: false)
        #expect(ids.map { stream.append($0) } == ["", "", "", "🙂"])
        #expect(stream.append(ids[0]).isEmpty)
        #expect(stream.append(ids[0]) == "\u{FFFD}")
        #expect(stream.finish() == "\u{FFFD}")
        #expect(stream.finish().isEmpty)
    }
}
