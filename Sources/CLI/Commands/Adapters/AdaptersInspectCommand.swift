import ArgumentParser
import ControlAPI
import Deployments
import ModelHub
import ServingAdapters
import ServingJSON
import ServingModelFiles
import ServingModels
import Terminal

/// `pbctl adapters inspect`
struct AdaptersInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Say what an adapter is made of, and whether it fits a model.",
        discussion: """
            Checks the files, and for an added adapter their checksums. With --model it also checks that every tensor
            has its place in that model; if not, the command fails and says why.

            EXAMPLES:
              pbctl adapters inspect ./my-adapter
              pbctl adapters inspect tone/1 --model model.gguf -o json
            """,
        aliases: ["show"])

    @Argument(
        help: ArgumentHelp("A PEFT folder, name[/version], or hf:owner/name[@revision].", valueName: "adapter"),
        completion: .directory)
    var adapter: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A model that the adapter should fit: a file, a folder or a name.", valueName: "model"),
        completion: .file())
    var model: String?

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let folder = try AdapterFolder(path: await AdapterOptions.location(of: adapter).folder)
        var object = folder.facts
        if let stored = try Self.stored(at: folder.path) {
            for (key, value) in stored.summary.members where object[key] == nil { object[key] = value }
        }
        if model == nil { try folder.checkTensors() }
        if let model {
            let description = try ModelDescription(path: ModelOptions.path(of: model))
            let weights = try folder.weights(for: description.config, base: description.weights)
            object["fits"] = .string(model)
            object["changed_layers"] = .integer(Int64(weights.linearUpdates.count))
        }
        switch output {
        case .json: try TextOutput.standard.writeLine(JSONValue.object(object).text(style: .pretty))
        case .text:
            var table = TextTable([])
            for (key, value) in object.members where key != "files" {
                let list =
                    key == "added_at"
                    ? value.intValue.map { Timestamp(milliseconds: Int64($0) * 1000).iso8601 }
                    : value.arrayValue?.compactMap(\.stringValue).joined(separator: ", ")
                table.add([
                    key.replacing("_", with: " "), (value.stringValue ?? list ?? value.text()).onOneLine,
                ])
            }
            try TextOutput.standard.write(String(table.text.drop(while: \.isNewline)))
        }
    }

    /// The registry's entry with this folder, its files checked; nil for other folders.
    private static func stored(at folder: String) throws -> StoredAdapter? {
        let store = AdapterStore(try PbctlDirectories())
        let parts = folder.split(separator: "/").suffix(2).joined(separator: "/")
        guard let adapter = try? store.resolve(parts), adapter.folder == folder else { return nil }
        try store.verify(adapter)
        return adapter
    }
}

extension AdapterFolder {
    /// What scripts are told about a PEFT folder.
    var facts: JSONObject {
        let summary = summary
        func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
        func number(_ number: Int) -> JSONValue { .integer(Int64(number)) }
        var object = JSONObject([("path", .string(path)), ("kind", .string(summary.kind))])
        if let baseModel = summary.baseModel { object["base_model"] = .string(baseModel) }
        object["rank"] = number(summary.rank)
        object["max_rank"] = number(summary.maxRank)
        object["alpha"] = .number(summary.alpha)
        object["modules"] = texts(summary.modules)
        if !config.modulesToSave.isEmpty { object["modules_to_save"] = texts(config.modulesToSave) }
        object["tensor_count"] = number(summary.tensorCount)
        object["parameter_count"] = number(summary.parameterCount)
        object["bytes"] = number(summary.byteCount)
        object["types"] = texts(summary.types)
        object["content_hash"] = .string(contentHash.description)
        return object
    }
}

extension ModelDescription {
    /// Describes the model in a GGUF file or a Hugging Face folder.
    init(path: String) throws {
        switch try ModelSource.detect(path: path) {
        case .gguf(let path): try self.init(gguf: GGUFFile(path: path))
        case .folder(let path): try self.init(folder: ModelFolder(path: path))
        default: throw CommandFailure("\(path) holds no model's weights")
        }
    }
}
