import ServingJSON
import ServingTensors
import ServingTokenizers
import Testing

/// Files that lie give errors, not traps.
@Suite struct TokenizerInputTests {
    private func json(_ text: String) throws -> Tokenizer { try Tokenizer(tokenizerJSON: Array(text.utf8)) }

    @Test(arguments: [
        "", "[]", "{}", "{\"model\":{}}", "{\"model\":{\"type\":\"BPE\"}}",
        "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":{}}}",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}",
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}",
        "{\"added_tokens\":[{\"id\":99999999,\"content\":\"x\"}],\"model\":{\"vocab\":{},\"merges\":[]}}",
        "{\"added_tokens\":[{\"id\":1}],\"model\":{\"vocab\":{},\"merges\":[]}}",
        "{\"pre_tokenizer\":{\"type\":\"Unheard\"},\"model\":{\"vocab\":{},\"merges\":[]}}",
        "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},\"model\":{\"vocab\":{},\"merges\":[]}}",
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"},\"model\":{\"vocab\":{},\"merges\":[]}}",
    ])
    func malformedFilesAreRefused(text: String) {
        #expect(throws: TokenizerError.self) { try json(text) }
    }

    @Test func errorsSayWhereAndWhat() {
        let text = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"z\"]]}}"
        #expect(throws: TokenizerError.unknownTokenInMerge(index: 0, token: "z")) { try json(text) }
    }

    @Test func deepSequencesAreRefused() {
        let count = 100
        let open = String(repeating: "{\"type\":\"Sequence\",\"normalizers\":[", count: count)
        let text =
            "{\"model\":{\"vocab\":{},\"merges\":[]},\"normalizer\":\(open){\"type\":\"NFC\"}"
            + String(repeating: "]}", count: count) + "}"
        #expect(throws: TokenizerError.self) { try json(text) }
    }

    @Test func emptyVocabulariesEncodeNothing() throws {
        let tokenizer = try json("{\"model\":{\"vocab\":{},\"merges\":[]}}")
        #expect(tokenizer.encode("abc").isEmpty)
        #expect(tokenizer.decode([0, 1, -1], skippingSpecialTokens: true).isEmpty)
    }

    @Test func repeatedIDsAndHolesAreTaken() throws {
        let tokenizer = try json("{\"model\":{\"vocab\":{\"a\":5,\"b\":5,\"c\":9},\"merges\":[]}}")
        #expect(tokenizer.vocabularyCount == 10)
        #expect(tokenizer.text(of: 3) == nil)
        #expect(tokenizer.encode("c") == [9])
    }

    @Test(arguments: ["sp-bpe", "llama2", "gemma", "sp-unigram", "t5", "added"])
    func damagedFilesNeverTrap(name: String) throws {
        let fixture = try TokenizerFixture.named(name)
        let bytes = fixture.bytes
        let isModel = fixture.tokenizerPath.hasSuffix(".model")
        var random = SeededGenerator(state: 5)
        for round in 0..<60 {
            var damaged = bytes
            if round % 3 == 0 {
                damaged.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            } else {
                for _ in 0..<Int.random(in: 1..<8, using: &random) {
                    damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
            }
            let tokenizer =
                isModel ? try? Tokenizer(sentencePiece: damaged) : try? Tokenizer(tokenizerJSON: damaged)
            guard let tokenizer else { continue }
            let ids = tokenizer.encode("Hello, world! 你好 \u{0}", specialTokens: .recognized)
            _ = tokenizer.decode(ids, skippingSpecialTokens: false)
        }
    }

    @Test func illFormedUTF8CountsAsReplacementCharacters() throws {
        let tokenizer = try TokenizerFixture.named("llama3").load()
        let bytes: [UInt8] = [0x61, 0xFF, 0xE4, 0xBD, 0x62]
        let ids = bytes.withUnsafeBufferPointer { tokenizer.encode(utf8: $0) }
        #expect(ids == tokenizer.encode("a\u{FFFD}\u{FFFD}b"))
    }
}
