import ArgumentParser
import ModelHub
import ServingJSON
import Terminal

/// `pbctl adapters list`
struct AdaptersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the adapters that were added on this machine.",
        discussion: """
            EXAMPLES:
              pbctl adapters list
              pbctl adapters list -o name
            """,
        aliases: ["ls"])

    @Option(name: .shortAndLong, help: "Format: table, json or name.")
    var output = TableOrJSON.table

    func run() async throws {
        let listing = try AdapterStore(PbctlDirectories()).listing()
        switch output {
        case .name:
            for adapter in listing.adapters { try TextOutput.standard.writeLine(adapter.id) }
        case .json:
            let adapters = listing.adapters.map { JSONValue.object($0.summary) }
            try TextOutput.standard.writeLine(JSONValue.array(adapters).text(style: .pretty))
        case .table:
            if listing.adapters.isEmpty {
                try TextOutput.error.writeLine("no adapters (add one with 'pbctl adapters add FOLDER')")
            } else {
                var table = TextTable(["NAME", "SIZE", "BASE MODEL", "SOURCE"])
                for adapter in listing.adapters {
                    table.add([
                        adapter.id, ByteCount.text(adapter.bytes), (adapter.baseModel ?? "-").onOneLine, adapter.source,
                    ])
                }
                try TextOutput.standard.write(table.text)
            }
        }
        for damage in listing.damaged { try TextOutput.error.writeLine("pbctl: \(damage.name): \(damage.reason)") }
    }
}

extension StoredAdapter {
    /// What scripts are told about an adapter.
    var summary: JSONObject {
        var object = JSONObject([
            ("id", .string(id)), ("name", .string(name)), ("version", .integer(Int64(version))),
            ("bytes", .integer(bytes)), ("source", .string(source)), ("path", .string(folder)),
        ])
        if let commit { object["commit"] = .string(commit) }
        if let baseModel { object["base_model"] = .string(baseModel) }
        object["added_at"] = .integer(addedAt)
        object["files"] = .array(
            files.map { file in
                var entry = JSONObject([("path", .string(file.path)), ("bytes", .integer(file.size))])
                if let sha256 = file.sha256 { entry["sha256"] = .string(sha256) }
                return .object(entry)
            })
        return object
    }
}
