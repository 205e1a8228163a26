import ArgumentParser
import Glibc
import ModelHub
import Terminal

/// `pbctl generate-docs`: what `make man` and `make completions` call.
struct GenerateDocsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-docs",
        abstract: "Write manual pages and completion scripts.",
        discussion: """
            EXAMPLES:
              pbctl generate-docs --man man --completions completions
            """,
        shouldDisplay: false)

    @Option(help: ArgumentHelp("Folder for manual pages.", valueName: "folder"))
    var man: String

    @Option(help: ArgumentHelp("Folder for completion scripts.", valueName: "folder"))
    var completions: String

    func run() async throws {
        try Self.write(try GeneratedFile.manual(), to: man)
        try Self.write(GeneratedFile.completions(), to: completions)
    }

    private static func write(_ files: [GeneratedFile], to folder: String) throws {
        try PbctlDirectories.create(folder)
        for file in files {
            let path = "\(folder)/\(file.name)"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw CommandFailure("\(path): \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            let output = TextOutput(descriptor, gathers: true)
            try output.write(file.text)
            try output.flush()
        }
    }
}

/// A file that is made from the command tree and committed.
struct GeneratedFile {
    let name: String
    let text: String

    /// All manual pages.
    static func manual() throws -> [GeneratedFile] {
        try Manual(dump: PbctlCommand._dumpHelp()).pages.map { GeneratedFile(name: $0.fileName, text: $0.text) }
    }

    /// The completion scripts.
    static func completions() -> [GeneratedFile] {
        [("pbctl.bash", .bash), ("_pbctl", .zsh), ("pbctl.fish", .fish)].map { name, shell in
            let script = PbctlCommand.completionScript(for: shell)
            return GeneratedFile(name: name, text: script.hasSuffix("\n") ? script : script + "\n")
        }
    }
}
