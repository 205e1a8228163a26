import ServingJSON

/// The manual pages of a command tree.
///
/// Made from the same declarations as `--help`, so that help, manual and completions can't disagree. Nothing but the
/// tree and the version goes into a page: the same source gives the same bytes on any day and machine.
struct Manual {
    private let root: JSONObject

    /// Reads what `PbctlCommand._dumpHelp()` gives.
    init(dump: String) throws {
        guard let command = try JSONValue(parsing: dump)["command"]?.objectValue else {
            throw CommandFailure("the parser's dump has no command")
        }
        root = command
    }

    /// One page a command that is shown to people, the root first.
    var pages: [ManualPage] { pages(of: root, path: [], siblings: []) }

    private func pages(of command: JSONObject, path: [String], siblings: [String]) -> [ManualPage] {
        guard let name = command["commandName"]?.stringValue else { return [] }
        let page = ManualPage(command: command, path: path + [name], siblings: siblings)
        let names = page.children.compactMap { $0["commandName"]?.stringValue }
        return [page]
            + page.children.flatMap { pages(of: $0, path: path + [name], siblings: path.isEmpty ? [] : names) }
    }
}
