import ArgumentParser
import Glibc
import ServingAdapters
import ServingJSON
import ServingModels
import Testing

@testable import Commands

struct AdapterCommandsTests {
    private static let fixtures: String = {
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures"
    }()
    private static let base = fixtures + "/models/llama"
    private static func adapter(_ name: String) -> String { fixtures + "/adapters/" + name }

    private func folder(_ name: String) throws -> AdapterFolder { try AdapterFolder(path: Self.adapter(name)) }

    /// Runs a body with a folder of its own.
    private func withScratch(_ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/pbctl-adapters-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in ["config.json", "model.safetensors"] { unlink(path + "/out/" + name) }
            rmdir(path + "/out")
            rmdir(path)
        }
        try await body(path)
    }

    private func merge(_ adapters: [String], _ options: [String], to out: String) async throws {
        let arguments =
            ["--model", Self.base] + adapters.flatMap { ["--adapter", Self.adapter($0)] } + options + ["--out", out]
        try await AdaptersMergeCommand.parse(arguments).run()
    }

    // MARK: diff

    @Test func adapterDoesNotDifferFromItself() throws {
        let difference = try AdapterDifference(folder("r8-all"), folder("r8-all"))
        #expect(difference.isEmpty && difference.equalTensorCount == 42)
        #expect(difference.text == "no difference: 42 tensors are equal\n")
    }

    @Test func differencesOfConfigsAndTensorsAreNamedWithNorms() throws {
        let difference = try AdapterDifference(folder("r8-all"), folder("dora"))
        #expect(difference.fields.map(\.name).contains("use_dora"))
        #expect(difference.fields.contains { $0.first == nil && $0.second == nil } == false)
        let magnitude = try #require(difference.tensors.first { $0.name.hasSuffix("lora_magnitude_vector") })
        #expect(magnitude.firstForm == nil && magnitude.secondForm != nil && magnitude.differenceNorm == nil)
        let changed = try #require(difference.tensors.first { $0.name.hasSuffix("q_proj.lora_A.weight") })
        #expect(try #require(changed.differenceNorm) > 0)
        #expect(difference.json["tensors"]?.arrayValue?.count == difference.tensors.count)
    }

    @Test func differenceIsThatOfTheMirroredComparison() throws {
        let there = try AdapterDifference(folder("r8-all"), folder("r13-odd"))
        let back = try AdapterDifference(folder("r13-odd"), folder("r8-all"))
        #expect(there.tensors.map(\.firstForm) == back.tensors.map(\.secondForm))
        #expect(there.tensors.map(\.differenceNorm) == back.tensors.map(\.differenceNorm))
    }

    // MARK: inspect

    @Test func factsNameRankModulesAndSizes() throws {
        let facts = try folder("r8-all").facts
        #expect(facts["rank"]?.intValue == 8 && facts["tensor_count"]?.intValue == 42)
        #expect(facts["kind"]?.stringValue == "LoRA")
        #expect(facts["modules"]?.arrayValue?.contains(.string("q_proj")) == true)
    }

    // MARK: merge

    @Test func mergedFolderIsAModelOfTheSameForm() async throws {
        try await withScratch { scratch in
            try await merge(["r8-all"], ["--type", "bf16"], to: scratch + "/out")
            let (merged, base) = (
                try ModelDescription(path: scratch + "/out"), try ModelDescription(path: Self.base)
            )
            #expect(merged.config.layerCount == base.config.layerCount)
            #expect(merged.config.hiddenSize == base.config.hiddenSize)
        }
    }

    @Test func severalAdaptersAreMergedByEachMethodThatFits() async throws {
        for method in ["linear", "ties", "dare_linear", "dare_ties", "magnitude_prune", "cat", "svd"] {
            try await withScratch { scratch in
                let density = ["linear", "cat", "svd"].contains(method) ? [] : ["--density", "0.4"]
                try await merge(
                    ["r8-all", "r8-all-second"], ["--weights", "0.7,0.3", "--method", method] + density,
                    to: scratch + "/out")
                _ = try ModelDescription(path: scratch + "/out")
            }
        }
    }

    @Test func nothingIsWrittenOverWhatIsThere() async throws {
        try await withScratch { scratch in
            await #expect(throws: AdapterError.self) { try await merge(["r8-all"], [], to: scratch) }
        }
    }

    @Test func mergesThatCannotBeAreRefused() async throws {
        try await withScratch { scratch in
            let out = scratch + "/out"
            for options in [
                ["--method", "ties", "--density", "0"], ["--method", "ties", "--density", "1.5"],
                ["--method", "svd", "--lorax-compat"], ["--weights", "1e30,1"],
            ] {
                await #expect(throws: AdapterError.self, "\(options)") {
                    try await merge(["r8-all", "r8-all-second"], options, to: out)
                }
            }
            await #expect(throws: AdapterError.self) { try await merge(["r8-all", "r13-odd"], [], to: out) }
            await #expect(throws: AdapterError.self) { try await merge(["r8-all"], ["--type", "q8_0"], to: out) }
            #expect(access(out, F_OK) != 0)
        }
    }

    @Test func optionsThatCannotBeAreRefusedByTheParser() {
        let start = ["--model", "m", "--adapter", "a", "--adapter", "b", "--out", "o"]
        #expect(throws: Never.self) { try AdaptersMergeCommand.parse(start + ["--weights", "1,-0.5"]) }
        for options in [
            ["--weights", "1"], ["--weights", "1,2,3"], ["--weights", "1,x"], ["--weights", "1,nan"],
            ["--weights", ""], ["--method", "best"], ["--type", "q2_k"], ["--majority-sign", "none"],
            // What a method would not look at.
            ["--density", "0.3"], ["--method", "linear", "--density", "0.3"], ["--method", "cat", "--seed", "1"],
            ["--method", "magnitude_prune", "--density", "0.3", "--majority-sign", "total"],
            ["--method", "ties", "--density", "0.3", "--seed", "1"], ["--method", "ties"],
        ] {
            #expect(throws: (any Error).self, "\(options)") { try AdaptersMergeCommand.parse(start + options) }
        }
        #expect(throws: (any Error).self) { try AdaptersMergeCommand.parse(["--model", "m", "--out", "o"]) }
    }

    // MARK: --adapter

    @Test func oneAdapterIsAllThatCanBeGiven() throws {
        #expect(try AdapterOptions.parse(["--adapter", "tone"]).adapter == "tone")
        #expect(try AdapterOptions.parse([]).adapter == nil)
        #expect(throws: (any Error).self) { try AdapterOptions.parse(["--adapter", "tone", "--adapter", "sql"]) }
    }

    @Test func rowsNameAnAdapterOrTheModelAlone() throws {
        func choice(_ row: String) throws -> AdapterOptions.RowChoice {
            try AdapterOptions.choice(ofRow: try #require(JSONValue(parsing: row).objectValue))
        }
        #expect(try choice("{}") == .unsaid)
        for row in [#"{"adapter":null}"#, #"{"adapter":""}"#, #"{"adapter_id":null}"#, #"{"adapter_id":""}"#] {
            #expect(try choice(row) == .base, "\(row)")
        }
        let tone = AdapterOptions.RowChoice.adapter(AdapterSelection(.single("tone"), source: .pbase))
        for row in [#"{"adapter":"tone"}"#, #"{"adapter_id":"tone"}"#, #"{"adapter":"tone","adapter_id":"tone"}"#] {
            #expect(try choice(row) == tone, "\(row)")
        }
        let merge = #""merged_adapters":{"ids":["tone","sql"],"weights":[1,1]}"#
        guard case .adapter = try choice("{\(merge),\"adapter\":null}") else {
            Issue.record("a merge is an adapter")
            return
        }
        for row in [
            #"{"adapter":"tone","adapter_id":"sql"}"#, #"{"adapter":"tone","adapter_id":null}"#, #"{"adapter":5}"#,
            "{\(merge),\"adapter_id\":\"tone\"}",
        ] {
            #expect(throws: RowError.self, "\(row)") { try choice(row) }
        }
    }

    @Test func fileThatIsThereIsWrittenOverOnlyByForce() async throws {
        try await withScratch { scratch in
            let out = scratch + "/out.gguf"
            let file = try #require(fopen(out, "w"))
            fclose(file)
            defer { unlink(out) }
            await #expect(throws: CommandFailure.self) { try await merge(["r8-all"], [], to: out) }
            // The base is a folder, which is told once the file is no hindrance.
            await #expect(throws: AdapterError.self) { try await merge(["r8-all"], ["--force"], to: out) }
        }
    }

    @Test func hintsNameTheCommandThatWasMeant() {
        func path(_ arguments: String...) -> String { SpellingHint.commandPath(arguments, root: PbctlCommand.self) }
        #expect(path("adapters", "merge", "--out", "x") == "pbctl adapters merge")
        #expect(path("engine", "serve", "--port", "x") == "pbctl engine serve")
        #expect(path("--nonsense") == "pbctl")
    }

    @Test func textsMeanFoldersTheHubOrTheRegistry() async throws {
        #expect(AdapterOptions.selection(of: Self.base) == AdapterSelection(.single(Self.base), source: .local))
        #expect(AdapterOptions.selection(of: "./x") == AdapterSelection(.single("./x"), source: .local))
        #expect(AdapterOptions.selection(of: "hf:a/b@v1") == AdapterSelection(.single("a/b@v1"), source: .hub))
        #expect(AdapterOptions.selection(of: "tone/2") == AdapterSelection(.single("tone/2"), source: .pbase))
        #expect(try await AdapterOptions.location(of: Self.adapter("r8-all")).folder == Self.adapter("r8-all"))
    }
}
