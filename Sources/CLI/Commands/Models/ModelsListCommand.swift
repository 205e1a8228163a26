import ArgumentParser
import ModelHub
import ServingJSON
import Terminal

/// `pbctl models list`
struct ModelsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the models on this machine.",
        discussion: """
            EXAMPLES:
              pbctl models list
              pbctl models list -o json
            """,
        aliases: ["ls"])

    @Option(name: .shortAndLong, help: "Format: table, json or name.")
    var output = TableOrJSON.table

    func run() async throws {
        let listing = try ModelStore(PbctlDirectories()).listing()
        switch output {
        case .name:
            for model in listing.models { try TextOutput.standard.writeLine(model.name) }
        case .json:
            let models = listing.models.map { JSONValue.object($0.summary) }
            try TextOutput.standard.writeLine(JSONValue.array(models).text(style: .pretty))
        case .table:
            if listing.models.isEmpty, listing.unfinished.isEmpty {
                try TextOutput.error.writeLine("no models (fetch one with 'pbctl models pull hf:owner/name')")
            } else {
                try TextOutput.standard.write(Self.table(listing))
            }
        }
        for damage in listing.damaged { try TextOutput.error.writeLine("pbctl: \(damage.name): \(damage.reason)") }
    }

    private static func table(_ listing: ModelStore.Listing) -> String {
        var table = TextTable(["NAME", "FORMAT", "SIZE", "SOURCE"])
        for model in listing.models {
            table.add([model.name, model.format.rawValue, ByteCount.text(model.bytes), model.source])
        }
        for name in listing.unfinished { table.add([name, "-", "-", "(not complete: pull it again)"]) }
        return table.text
    }
}

extension StoredModel {
    /// What scripts are told about a model.
    var summary: JSONObject {
        var object = JSONObject([
            ("name", .string(name)), ("format", .string(format.rawValue)), ("bytes", .integer(bytes)),
            ("source", .string(source)), ("path", .string(path)),
        ])
        if let commit { object["commit"] = .string(commit) }
        object["files"] = .array(
            files.map { file in
                var entry = JSONObject([("path", .string(file.path)), ("bytes", .integer(file.size))])
                if let sha256 = file.sha256 { entry["sha256"] = .string(sha256) }
                return .object(entry)
            })
        return object
    }
}
