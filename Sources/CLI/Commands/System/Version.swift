import ArgumentParser
import ServingJSON
import Terminal

/// The version of this build.
enum Version {
    /// Semantic version; CHANGELOG.md says what is in it.
    static let number = "0.1.0"
    /// The day of the version, as manual pages bear it: fixed, so that they are the same whenever they are made.
    static let date = "November 24, 2026"
    /// As `--version` prints it.
    static let text = "pbctl \(number)"
}

/// `pbctl version`
struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Print the version.",
        discussion: """
            EXAMPLES:
              pbctl version
              pbctl version -o json
            """)

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        switch output {
        case .text: try TextOutput.standard.writeLine(Version.text)
        case .json:
            try TextOutput.standard.writeLine(JSONValue(dictionaryLiteral: ("client", .string(Version.number))).text())
        }
    }
}
