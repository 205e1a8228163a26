import ArgumentParser

/// Finds out what a mistyped word was meant to be.
enum SpellingHint {
    /// The candidate nearest to `word`, if it is near enough to be what was meant.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let limit = max(1, word.count / 3)
        let ranked = candidates.map { (name: $0, distance: distance(word, $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= limit else {
            return candidates.first { word.count >= 3 && $0.hasPrefix(word) }
        }
        return best.name
    }

    /// A message about the first word that should name a command and does not, or nil.
    static func forMistypedCommand(_ arguments: [String], root: any ParsableCommand.Type) -> String? {
        var type: any ParsableCommand.Type = root
        var path = "pbctl"
        for argument in arguments {
            let subcommands =
                type.configuration.subcommands + type.configuration.groupedSubcommands.flatMap(\.subcommands)
            guard !subcommands.isEmpty, !argument.hasPrefix("-"), argument != "help" else { return nil }
            let names = subcommands.flatMap { [$0.commandName] + $0.configuration.aliases }
            guard
                let match = subcommands.first(where: {
                    $0.commandName == argument || $0.configuration.aliases.contains(argument)
                })
            else {
                // The word is for the subcommand that is meant where none is named.
                if type.configuration.defaultSubcommand != nil { return nil }
                let hint = nearest(to: argument, among: names).map { "did you mean '\(path) \($0)'?" }
                return "unknown command '\(path) \(argument)' (\(hint ?? "see '\(path) --help'"))"
            }
            type = match
            path += " \(argument)"
        }
        return nil
    }

    /// Edits (insert, delete, replace, swap neighbours) that turn one word into the other.
    static func distance(_ first: String, _ second: String) -> Int {
        let (a, b) = (Array(first.lowercased()), Array(second.lowercased()))
        guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
        var rows = [Array(0...b.count)]
        for i in 1...a.count {
            var row = [i]
            for j in 1...b.count {
                var cost = min(row[j - 1] + 1, rows[i - 1][j] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, rows[i - 2][j - 2] + 1) }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}

extension ParsableCommand {
    /// The word that names the command.
    fileprivate static var commandName: String { configuration.commandName ?? "\(Self.self)".lowercased() }
}
