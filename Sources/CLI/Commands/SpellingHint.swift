import ArgumentParser
import Deployments

/// Finds out which command a line means, or was meant to.
enum SpellingHint {
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
                let hint = Spelling.nearest(to: argument, among: names).map { "did you mean '\(path) \($0)'?" }
                return "unknown command '\(path) \(argument)' (\(hint ?? "see '\(path) --help'"))"
            }
            type = match
            path += " \(argument)"
        }
        return nil
    }

    /// The command that a line names, as far as it does: `pbctl adapters merge`.
    static func commandPath(_ arguments: [String], root: any ParsableCommand.Type) -> String {
        var type: any ParsableCommand.Type = root
        var path = "pbctl"
        for argument in arguments {
            let subcommands =
                type.configuration.subcommands + type.configuration.groupedSubcommands.flatMap(\.subcommands)
            let match = subcommands.first {
                $0.commandName == argument || $0.configuration.aliases.contains(argument)
            }
            guard let match else { break }
            type = match
            path += " \(match.commandName)"
        }
        return path
    }
}

extension ParsableCommand {
    /// The word that names the command.
    fileprivate static var commandName: String { configuration.commandName ?? "\(Self.self)".lowercased() }
}
