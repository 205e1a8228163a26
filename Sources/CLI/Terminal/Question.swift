import Glibc

/// Questions to a person. Never asked where there is none: a script gets nil, and the command says which flag it wants.
public enum Question {
    /// Whether there is someone to ask: standard input and standard error are terminals.
    public static var canAsk: Bool {
        TerminalState.isTerminal(STDIN_FILENO) && TerminalState.isTerminal(STDERR_FILENO)
    }

    /// Asks for yes or no on standard error. Anything else than y or yes, and the end of input, is no.
    /// - Returns: the answer, or nil where nobody can be asked.
    public static func confirm(_ question: String) -> Bool? {
        guard let answer = ask("\(question) [y/N] ") else { return nil }
        return ["y", "yes"].contains(answer.lowercased())
    }

    /// Asks for a line of text, without spaces around it. Nil where nobody can be asked, or at the end of input.
    public static func ask(_ prompt: String) -> String? {
        guard canAsk else { return nil }
        try? TextOutput.error.write(prompt)
        var reader = LineReader(STDIN_FILENO)
        guard let line = reader.next() else {
            try? TextOutput.error.writeLine()
            return nil
        }
        let isSpace = { (byte: UInt8) in byte <= 0x20 }
        return String(
            decoding: line.utf8.drop(while: isSpace).reversed().drop(while: isSpace).reversed(), as: UTF8.self)
    }
}
