import ServingTensors
import ServingTokenizers
import Testing

/// Ids and text equal what the reference made, byte for byte.
@Suite struct TokenizerGoldenTests {
    private func compare(_ fixture: TokenizerFixture) throws {
        let tokenizer = try fixture.load()
        let rows = try fixture.rows()
        #expect(rows.count > 20)
        for row in rows {
            #expect(tokenizer.encode(row.text, specialTokens: .recognized) == row.ids, "\(row.text.debugDescription)")
            #expect(tokenizer.encode(row.text, specialTokens: .asText) == row.plainIDs, "\(row.text.debugDescription)")
            let decoded = tokenizer.decode(row.decodedIDs, skippingSpecialTokens: false)
            #expect(Array(decoded.utf8) == Array(row.decoded.utf8), "\(row.decodedIDs)")
            if let expected = row.decodedWithoutSpecial {
                let decoded = tokenizer.decode(row.decodedIDs, skippingSpecialTokens: true)
                #expect(Array(decoded.utf8) == Array(expected.utf8), "\(row.decodedIDs)")
            }
        }
    }

    @Test(arguments: TokenizerFixture.small)
    func smallTokenizersEqualTheReference(fixture: TokenizerFixture) throws { try compare(fixture) }

    @Test(.enabled(if: !TokenizerFixture.real.isEmpty), arguments: TokenizerFixture.real)
    func realTokenizersEqualTheReference(fixture: TokenizerFixture) throws { try compare(fixture) }

    @Test func beginAndEndAreAddedOnRequest() throws {
        let tokenizer = try TokenizerFixture.named("sp-bpe").load()
        let bos = try #require(tokenizer.bosTokenID)
        let eos = try #require(tokenizer.eosTokenID)
        let plain = tokenizer.encode("a b")
        #expect(tokenizer.encode("a b", addingBOS: true, addingEOS: true) == [bos] + plain + [eos])
        #expect(tokenizer.addsBOS)
        #expect(tokenizer.endOfGenerationTokenIDs.contains(eos))
    }

    @Test func byteLevelTextSurvivesTheRoundTrip() throws {
        var random = SeededGenerator(state: 3)
        for name in ["gpt2", "llama3", "o200k", "deepseek3"] {
            let tokenizer = try TokenizerFixture.named(name).load()
            for _ in 0..<50 {
                let text = random.text(count: 30)
                let decoded = tokenizer.decode(tokenizer.encode(text), skippingSpecialTokens: false)
                #expect(Array(decoded.utf8) == Array(text.utf8))
            }
        }
    }

    @Test func entriesAreFoundByTheirText() throws {
        let tokenizer = try TokenizerFixture.named("gpt2").load()
        for id in 0..<TokenID(tokenizer.vocabularyCount) {
            let text = try #require(tokenizer.text(of: id))
            #expect(tokenizer.tokenID(of: text) == id)
        }
        #expect(tokenizer.text(of: -1) == nil)
        #expect(tokenizer.text(of: TokenID(tokenizer.vocabularyCount)) == nil)
        #expect(tokenizer.tokenID(of: "no such entry") == nil)
        let end = try #require(tokenizer.tokenID(of: "<|im_end|>"))
        #expect(tokenizer.isSpecial(end))
        #expect(tokenizer.endOfGenerationTokenIDs.contains(end))
    }

    @Test func longWordsWithoutSpacesAreEncoded() throws {
        for name in ["gpt2", "sp-bpe", "kimi", "unigram"] {
            let tokenizer = try TokenizerFixture.named(name).load()
            for text in [String(repeating: "a", count: 100_000), String(repeating: " ", count: 50_000) + "x"] {
                let ids = tokenizer.encode(text)
                #expect(!ids.isEmpty)
            }
        }
    }
}
