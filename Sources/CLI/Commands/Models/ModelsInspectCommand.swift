import ArgumentParser
import ModelHub
import ServingJSON
import ServingRuntime
import Terminal

/// `pbctl models inspect`
struct ModelsInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say what a model is made of, without loading its weights.",
        discussion: """
            EXAMPLES:
              pbctl models inspect ./model.gguf
              pbctl models inspect my-model -o json
            """,
        aliases: ["show"])

    @Argument(
        help: ArgumentHelp("A pulled model's name, a GGUF file or a Hugging Face folder.", valueName: "model"),
        completion: .file())
    var model: String

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let summary = try ModelSummary(path: ModelOptions.path(of: model))
        switch output {
        case .json: try TextOutput.standard.writeLine(summary.json.text(style: .pretty))
        case .text:
            var table = TextTable([])
            for (key, value) in summary.json.objectValue?.members.map({ $0 }) ?? [] {
                table.add([key.replacing("_", with: " "), value.stringValue ?? value.text()])
            }
            try TextOutput.standard.write(String(table.text.drop(while: \.isNewline)))
        }
    }
}
