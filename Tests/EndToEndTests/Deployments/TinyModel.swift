import Foundation

/// A random model of half a megabyte that loads in an instant and writes nonsense, always the same for the same request
/// and always as long as was asked for: it knows no token that ends a text.
///
/// The model is that of `Tests/Fixtures/models/llama`; its tokenizer is the part of a fixture's that fits 320 tokens.
enum TinyModel {
    static let vocabularySize = 320

    private static let fixtures = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    /// Makes a folder with the model in it.
    static func make(in folder: String) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let source = fixtures.appendingPathComponent("models/llama")
        try files.copyItem(
            atPath: source.appendingPathComponent("model.safetensors").path, toPath: "\(folder)/model.safetensors")
        var config = try object(source.appendingPathComponent("config.json"))
        config["eos_token_id"] = nil
        try write(config, to: "\(folder)/config.json")
        var tokenizer = try object(fixtures.appendingPathComponent("tokenizers/smollm.json"))
        guard var model = tokenizer["model"] as? [String: Any], let vocabulary = model["vocab"] as? [String: Int],
            let merges = model["merges"] as? [[String]]
        else { throw BackgroundProcess.Failure(description: "the tokenizer fixture has another form") }
        let kept = vocabulary.filter { $0.value < vocabularySize }
        model["vocab"] = kept
        model["merges"] = merges.filter { kept[$0.joined()] != nil }
        tokenizer["model"] = model
        try write(tokenizer, to: "\(folder)/tokenizer.json")
        let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}"
        try write(["chat_template": template], to: "\(folder)/tokenizer_config.json")
    }

    private static func object(_ file: URL) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
    }

    private static func write(_ value: [String: Any], to path: String) throws {
        try JSONSerialization.data(withJSONObject: value, options: .sortedKeys).write(to: URL(fileURLWithPath: path))
    }
}
