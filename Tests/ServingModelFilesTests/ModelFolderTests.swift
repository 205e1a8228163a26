import ServingJSON
import ServingModelFiles
import ServingTensors
import Testing

@Suite struct ModelFolderTests {
    private func shard(_ names: String...) throws -> [UInt8] {
        var writer = SafetensorsWriter()
        for name in names { writer.add(name, .f32, shape: [1], bytes: [1, 2, 3, 4]) }
        return try writer.bytes()
    }

    /// A folder with config.json and, if given, an index.
    private func folder(index: String? = nil) throws -> Scratch {
        let scratch = try Scratch()
        try scratch.write("config.json", #"{"model_type": "llama"}"#)
        if let index { try scratch.write("model.safetensors.index.json", index) }
        return scratch
    }

    @Test func aWholeFolderIsRead() throws {
        let scratch = try folder()
        try scratch.write("model.safetensors", shard("a", "b"))
        try scratch.write("generation_config.json", #"{"eos_token_id": 2}"#)
        try scratch.write("tokenizer.json", "{}")
        try scratch.write("tokenizer_config.json", #"{"chat_template": "old"}"#)
        let model = try ModelFolder(path: scratch.path)
        #expect(model.config["model_type"] == "llama" && model.generationConfig?["eos_token_id"] == 2)
        #expect(model.tokenizer.tokenizerJSONPath == scratch.path + "/tokenizer.json")
        #expect(model.tokenizer.tokenizerModelPath == nil && model.tokenizer.specialTokensMap == nil)
        #expect(try model.openTensors().names == ["a", "b"])
        #expect(try ModelSource.detect(path: scratch.path) == .folder(path: scratch.path))
        for file in ["config.json", "model.safetensors"] {
            #expect(try ModelSource.detect(path: scratch.path + "/" + file) == .folder(path: scratch.path))
        }
    }

    @Test func templateFilesCountBeforeTheTokenizersConfiguration() throws {
        let scratch = try Scratch()
        try scratch.write("chat_template.json", #"{"chat_template": "oldest"}"#)
        #expect(try TokenizerFiles(folder: scratch.path).chatTemplates.map(\.source) == ["oldest"])
        try scratch.write(
            "tokenizer_config.json",
            #"{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}, 3]}"#)
        #expect(try TokenizerFiles(folder: scratch.path).chatTemplates.map(\.name) == ["default", "tool_use"])
        try scratch.write("chat_template.jinja", "new")
        try scratch.write("additional_chat_templates/rag.jinja", "R")
        let templates = try TokenizerFiles(folder: scratch.path).chatTemplates
        #expect(templates.map(\.name) == ["default", "rag"] && templates.map(\.source) == ["new", "R"])
    }

    @Test func shardsAreJoinedByTheirIndex() throws {
        let scratch = try folder(
            index: #"{"metadata": {}, "weight_map": {"a": "1.safetensors", "b": "sub/2.safetensors"}}"#)
        try scratch.write("1.safetensors", shard("a"))
        _ = modelFileError(.missing) { try ModelFolder(path: scratch.path).openTensors() }
        try scratch.write("sub/2.safetensors", shard("b", "extra"))
        let tensors = try ModelFolder(path: scratch.path).openTensors()
        #expect(tensors.names == ["a", "b", "extra"])
        #expect(try tensors.tensor(named: "b")?.shape == [1] && tensors.tensor(named: "c") == nil)
        try scratch.write("sub/2.safetensors", shard("extra"))
        #expect(
            modelFileError(.missingTensor) { try ModelFolder(path: scratch.path).openTensors() }?.subject
                == "tensor \"b\"")
        try scratch.write("sub/2.safetensors", shard("a", "b"))
        _ = modelFileError(.duplicateTensor) { try ModelFolder(path: scratch.path).openTensors() }
    }

    @Test(arguments: [
        "/etc/passwd.safetensors", "../x.safetensors", "sub/../../x.safetensors", "./x.safetensors", "",
        "a//x.safetensors",
        "..\\\\x.safetensors", "x\\u0000.safetensors", "/", "..",
    ])
    func anIndexCannotLeadOutOfItsFolder(name: String) throws {
        let scratch = try folder(index: #"{"weight_map": {"a": "\#(name)"}}"#)
        _ = modelFileError(.unsafePath) { try ModelFolder(path: scratch.path).openTensors() }
    }

    @Test func faultyIndexesAreRefused() throws {
        for index in ["", "{", "[]", "{}", #"{"weight_map": []}"#, #"{"weight_map": {"a": 1}}"#] {
            let scratch = try folder(index: index)
            _ = modelFileError(index.isEmpty ? .empty : .invalidJSON) {
                try ModelFolder(path: scratch.path).openTensors()
            }
        }
        let empty = try folder(index: #"{"weight_map": {}}"#)
        _ = modelFileError(.missingTensor) { try ModelFolder(path: empty.path).openTensors() }
        // An index that names itself or a pickle.
        for name in ["model.safetensors.index.json", "pytorch_model.bin"] {
            let scratch = try folder(index: #"{"weight_map": {"a": "\#(name)"}}"#)
            _ = modelFileError(.wrongFormat) { try ModelFolder(path: scratch.path).openTensors() }
        }
    }

    @Test func numberedShardsNeedNoIndexWhenComplete() throws {
        let scratch = try folder()
        try scratch.write("model-00001-of-00002.safetensors", shard("a"))
        _ = modelFileError(.missing) { try ModelFolder(path: scratch.path).openTensors() }
        try scratch.write("model-00002-of-00002.safetensors", shard("b"))
        #expect(try ModelFolder(path: scratch.path).openTensors().names == ["a", "b"])
        try scratch.write("other.safetensors", shard("c"))
        _ = modelFileError(.ambiguous) { try ModelFolder(path: scratch.path).openTensors() }
    }

    @Test(arguments: ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "x.ckpt"])
    func picklesAreRefusedByName(name: String) throws {
        let scratch = try folder()
        try scratch.write(name, [1, 2, 3])
        #expect(modelFileError(.pickle) { try ModelFolder(path: scratch.path).openTensors() }?.hint != nil)
        _ = modelFileError(.pickle) { try ModelSource.detect(path: scratch.path) }
        try scratch.write("model.safetensors", shard("a"))
        #expect(try ModelFolder(path: scratch.path).openTensors().names == ["a"])
    }

    @Test func foldersWithoutConfigurationAreRefused() throws {
        let scratch = try Scratch()
        _ = modelFileError(.missing) { try ModelFolder(path: scratch.path) }
        try scratch.write("config.json", "[1]")
        _ = modelFileError(.invalidJSON) { try ModelFolder(path: scratch.path) }
        try scratch.write("config.json", "{,}")
        #expect(modelFileError(.invalidJSON) { try ModelFolder(path: scratch.path) }?.offset == 1)
        _ = modelFileError(.missing) { try ModelFolder(path: scratch.path + "/none") }
        _ = modelFileError(.wrongFormat) { try ModelFolder(path: scratch.path + "/config.json") }
    }
}
