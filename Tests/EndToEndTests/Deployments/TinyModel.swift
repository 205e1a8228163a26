import Foundation

/// A random model of half a megabyte that loads in an instant and writes nonsense, always the same for the same request.
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
        for name in ["config.json", "model.safetensors"] {
            try files.copyItem(
                atPath: fixtures.appendingPathComponent("models/llama/\(name)").path, toPath: "\(folder)/\(name)")
        }
        let full = try Data(contentsOf: fixtures.appendingPathComponent("tokenizers/smollm.json"))
        guard var tokenizer = try JSONSerialization.jsonObject(with: full) as? [String: Any],
            var model = tokenizer["model"] as? [String: Any], let vocabulary = model["vocab"] as? [String: Int],
            let merges = model["merges"] as? [[String]]
        else { throw BackgroundProcess.Failure(description: "the tokenizer fixture has another form") }
        let kept = vocabulary.filter { $0.value < vocabularySize }
        model["vocab"] = kept
        model["merges"] = merges.filter { kept[$0.joined()] != nil }
        tokenizer["model"] = model
        try write(tokenizer, to: "\(folder)/tokenizer.json")
        try write(
            [
                "eos_token": "<|im_end|>",
                "chat_template": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
            ], to: "\(folder)/tokenizer_config.json")
    }

    private static func write(_ value: [String: Any], to path: String) throws {
        try JSONSerialization.data(withJSONObject: value, options: .sortedKeys).write(to: URL(fileURLWithPath: path))
    }
}
