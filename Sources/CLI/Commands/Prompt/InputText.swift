import Glibc
import ServingModelFiles
import Terminal

/// Text for prompts from standard input and from files. Bytes that are no UTF-8 become U+FFFD.
enum InputText {
    /// All of standard input.
    static func all() -> String {
        var reader = LineReader()
        return reader.rest()
    }

    /// The content of a file, or of standard input for `-`.
    static func content(of path: String) throws -> String {
        guard path != "-" else { return all() }
        do {
            return try text(of: MappedFile(path: path))
        } catch let error as ModelFileError {
            if error.code == .empty { return "" }
            throw error
        }
    }

    private static func text(of file: MappedFile) throws -> String {
        file.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether standard input is a terminal, so that reading it would wait for somebody to type.
    static var isTerminal: Bool { TerminalState.isTerminal(STDIN_FILENO) }
}
