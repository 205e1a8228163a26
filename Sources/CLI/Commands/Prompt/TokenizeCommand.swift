import ArgumentParser
import ServingJSON
import ServingRuntime
import ServingTensors
import ServingTokenizers
import Terminal

/// `pbctl tokenize`
struct TokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Turn text into token ids.",
        discussion: """
            EXAMPLES:
              pbctl tokenize -m model.gguf "Hello, world"
              pbctl tokenize --model tokenizer.json --count < book.txt
              echo '{"text": "Hello"}' | pbctl tokenize -m model.gguf --jsonl
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "A GGUF file, a Hugging Face folder, a tokenizer.json, a tokenizer.model, or a pulled model's name.",
            valueName: "model"), completion: .file())
    var model: String?

    @Flag(help: "Read objects with a text from standard input, one a line; write ids and decoded text, one a line.")
    var jsonl = false

    @Flag(help: "Take special tokens that the text spells as text.")
    var specialAsText = false

    @Flag(help: "Put the beginning-of-sequence token first where the model wants one.")
    var bos = false

    @Flag(help: "Print only how many tokens there are.")
    var count = false

    @Argument(help: ArgumentHelp("The text; without it, standard input.", valueName: "text"))
    var text: [String] = []

    func validate() throws {
        if jsonl, !text.isEmpty { throw ValidationError("--jsonl reads standard input: leave out the text") }
    }

    func run() async throws {
        let codec = try TextCodec(path: ModelOptions.path(of: model))
        if jsonl {
            return try tokenizeLines(codec.tokenizer)
        }
        let text = text.isEmpty ? InputText.all() : text.joined(separator: " ")
        let ids = encode(text, codec.tokenizer)
        if count { return try TextOutput.standard.writeLine("\(ids.count)") }
        for id in ids {
            let spelling = JSONValue.string(codec.tokenizer.decode([id], skippingSpecialTokens: false)).text()
            try TextOutput.standard.writeLine("\(id)\t\(spelling)")
        }
    }

    private func encode(_ text: String, _ tokenizer: Tokenizer) -> [TokenID] {
        tokenizer.encode(
            text, specialTokens: specialAsText ? .asText : .recognized, addingBOS: bos && tokenizer.addsBOS)
    }

    private func tokenizeLines(_ tokenizer: Tokenizer) throws {
        var failures = 0
        let strays = try JSONLines.forEach { line in
            guard let text = line["text"]?.stringValue else {
                failures += 1
                return ["error": "expected an object with a text"]
            }
            let ids = encode(text, tokenizer)
            return [
                "ids": .array(ids.map { .integer(Int64($0)) }),
                "decoded": .string(tokenizer.decode(ids, skippingSpecialTokens: false)),
            ]
        }
        failures += strays
        if failures > 0 { throw CommandFailure("\(failures) line\(failures == 1 ? " was" : "s were") not answered") }
    }
}
