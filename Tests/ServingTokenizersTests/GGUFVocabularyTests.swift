import ServingJSON
import ServingTensors
import ServingTokenizers
import Testing

@Suite struct GGUFVocabularyTests {
    /// What a converter makes of a byte-level tokenizer.json.
    private func vocabulary(_ fixture: TokenizerFixture, _ preTokenizer: String) throws -> GGUFVocabulary {
        let document = try JSONValue(parsing: fixture.bytes)
        let entries = try #require(document["model"]?["vocab"]?.objectValue)
        let special = Set((document["added_tokens"]?.arrayValue ?? []).compactMap { $0["id"]?.intValue })
        var tokens = GGUFVocabulary.Strings()
        var types: [Int32] = []
        for (text, id) in entries.members.sorted(by: { ($0.1.intValue ?? 0) < ($1.1.intValue ?? 0) }) {
            tokens.append(text.utf8)
            types.append(special.contains(id.intValue ?? -1) ? 3 : 1)
        }
        var merges = GGUFVocabulary.Strings()
        for merge in document["model"]?["merges"]?.arrayValue ?? [] {
            merges.append("\(merge[0]?.stringValue ?? "") \(merge[1]?.stringValue ?? "")".utf8)
        }
        var vocabulary = GGUFVocabulary(model: "gpt2", tokens: tokens)
        vocabulary.preTokenizer = preTokenizer
        vocabulary.tokenTypes = types
        vocabulary.merges = merges
        return vocabulary
    }

    @Test(arguments: [
        ("gpt2", "gpt-2"), ("smollm", "smollm"), ("llama3", "llama-bpe"), ("qwen2", "qwen2"), ("tekken", "tekken"),
        ("o200k", "gpt-4o"), ("deepseek3", "deepseek-v3"), ("qwen35", "qwen35"),
    ])
    func byteLevelVocabulariesEqualTheirJSON(name: String, preTokenizer: String) throws {
        let fixture = try TokenizerFixture.named(name)
        let tokenizer = try Tokenizer(gguf: try vocabulary(fixture, preTokenizer))
        for row in try fixture.rows() {
            #expect(tokenizer.encode(row.text, specialTokens: .recognized) == row.ids, "\(row.text.debugDescription)")
            #expect(tokenizer.encode(row.text) == row.plainIDs, "\(row.text.debugDescription)")
        }
    }

    @Test func sentencePieceVocabulariesFallBackToBytes() throws {
        var tokens = GGUFVocabulary.Strings()
        var scores: [Float] = []
        var types: [Int32] = []
        func add(_ text: String, _ score: Float, _ type: Int32) {
            tokens.append(text.utf8)
            scores.append(score)
            types.append(type)
        }
        add("<unk>", 0, 2)
        add("<s>", 0, 3)
        add("</s>", 0, 3)
        for byte in 0..<256 {
            let digits = String(byte, radix: 16, uppercase: true)
            add("<0x\(byte < 16 ? "0" : "")\(digits)>", 0, 6)
        }
        for (position, piece) in ["▁a", "ab", "▁ab", "▁", "a", "b"].enumerated() { add(piece, -Float(position), 1) }
        var vocabulary = GGUFVocabulary(model: "llama", tokens: tokens)
        vocabulary.scores = scores
        vocabulary.tokenTypes = types
        vocabulary.bosTokenID = 1
        vocabulary.eosTokenID = 2
        vocabulary.padTokenID = -1
        let tokenizer = try Tokenizer(gguf: vocabulary)
        #expect(tokenizer.addsBOS)
        #expect(tokenizer.padTokenID == nil)
        #expect(tokenizer.endOfGenerationTokenIDs == [2])
        #expect(tokenizer.encode("ab ab") == [261, 261])
        #expect(tokenizer.encode("é") == [262, 3 + 0xC3, 3 + 0xA9])
        #expect(tokenizer.encode("<s>", specialTokens: .recognized) == [1])
        #expect(tokenizer.encode("<s>").count > 1)
        #expect(tokenizer.decode([261, 261, 3 + 0xC3, 3 + 0xA9], skippingSpecialTokens: true) == "ab abé")
        #expect(tokenizer.bytes(of: 3 + 0xC3) == [0xC3])
    }

    @Test func lyingVocabulariesAreRefused() throws {
        let good = try vocabulary(try TokenizerFixture.named("gpt2"), "gpt-2")
        func refused(_ change: (inout GGUFVocabulary) -> Void) {
            var changed = good
            change(&changed)
            #expect(throws: TokenizerError.self) { try Tokenizer(gguf: changed) }
        }
        refused { $0.model = "bert" }
        refused { $0.preTokenizer = "unheard-of" }
        refused { $0.merges = nil }
        refused { $0.tokenTypes = [1] }
        refused { $0.tokens = GGUFVocabulary.Strings() }
        refused { $0.tokens.ends[3] = 1 << 40 }
        refused { $0.tokens.ends[3] = -1 }
        refused { $0.merges?.append("zz yy".utf8) }
        refused { $0.merges?.append("zz".utf8) }
        refused { $0.model = "llama" }
    }
}
