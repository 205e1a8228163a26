import Testing

@testable import ModelHub

@Suite struct ModelReferenceTests {
    @Test func hubReferencesHaveRevisionAndFile() throws {
        let plain = try HubReference(parsing: "hf:acme/tiny")
        #expect(plain.owner == "acme" && plain.name == "tiny" && plain.revision == "main" && plain.file == nil)
        let full = try HubReference(parsing: "hf:acme/Tiny-1.5_b@refs/pr/3:sub/x-Q4_K_M.gguf")
        #expect(full.revision == "refs/pr/3" && full.file == "sub/x-Q4_K_M.gguf")
        #expect(full.description == "hf:acme/Tiny-1.5_b@refs/pr/3:sub/x-Q4_K_M.gguf")
    }

    @Test func kindsAreToldApart() throws {
        #expect(try ModelReference.parse("tiny") == .name("tiny"))
        for path in ["./tiny", "../x", "/a/b.gguf", "a/b", "~/x", "."] {
            #expect(try ModelReference.parse(path) == .path(path))
        }
        #expect(try ModelReference.parse("hf:a/b") == .hub(HubReference(parsing: "hf:a/b")))
    }

    @Test func whatCannotBeAReferenceIsRefused() {
        let bad = [
            "", "hf:", "hf:tiny", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b@", "hf:a/b@../x", "hf:a/b:", "hf:a/b:../x",
            "hf:a/b:/etc/passwd", "hf:a/b:x//y", "hf:a b/c", "hf:a/b@-x", "hf:-a/b", "hf:.a/b", "a\u{0}b", "a\nb",
            "https://example.org/a/b", "hf:a/b:c\\d", "hf:é/b", "hf:a/" + String(repeating: "x", count: 97),
        ]
        for text in bad { #expect(throws: ModelHubError.self, "\(text)") { try ModelReference.parse(text) } }
    }

    @Test func ggufIsPreferredByQuality() throws {
        func chosen(_ names: [String], _ reference: String = "hf:a/b") throws -> [String] {
            let siblings = names.map { #"{"rfilename":"\#($0)","size":1}"# }.joined(separator: ",")
            let snapshot = try HubSnapshot(parsing: Array(#"{"sha":"abc","siblings":[\#(siblings)]}"#.utf8))
            return try PullSelection(of: snapshot, for: HubReference(parsing: reference)).files.map(\.path)
        }
        #expect(try chosen(["x.Q8_0.gguf", "x.Q4_K_M.gguf", "x.IQ2_XS.gguf"]) == ["x.Q4_K_M.gguf"])
        #expect(try chosen(["x-q8_0.gguf", "x-f16.gguf", "mmproj-f16.gguf"]) == ["x-q8_0.gguf"])
        #expect(try chosen(["only.gguf", "README.md"]) == ["only.gguf"])
        #expect(try chosen(["a.gguf", "x-Q5_1.gguf"], "hf:a/b:q5_1") == ["x-Q5_1.gguf"])
        #expect(
            try chosen(["model-00001-of-00002.safetensors", "consolidated.safetensors", "tokenizer.json", "a.gguf"])
                == ["model-00001-of-00002.safetensors", "tokenizer.json"])
        for names in [["a.gguf", "b.gguf"], ["x-00001-of-00002.gguf"], ["pytorch_model.bin"], ["README.md"], []] {
            #expect(throws: ModelHubError.self, "\(names)") { try chosen(names) }
        }
        #expect(throws: ModelHubError.self) { try chosen(["pytorch_model.bin"], "hf:a/b:pytorch_model.bin") }
    }
}
