import ArgumentParser
import Terminal

/// `pbctl completions`
struct CompletionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a shell's completion script.",
        discussion: """
            EXAMPLES:
              pbctl completions bash > ~/.local/share/bash-completion/completions/pbctl
              pbctl completions zsh > ~/.zfunc/_pbctl
              pbctl completions fish > ~/.config/fish/completions/pbctl.fish
            """)

    /// Shells we write scripts for.
    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish

        var parserShell: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() async throws {
        try TextOutput.standard.writeLine(PbctlCommand.completionScript(for: shell.parserShell))
    }
}
