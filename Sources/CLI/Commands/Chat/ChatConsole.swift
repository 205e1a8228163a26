import Terminal

/// Where a conversation's lines come from and where its text goes.
struct ChatConsole {
    /// Whether a person sits there: prompts, a banner, and errors that end nothing.
    var isInteractive: Bool
    /// Reads a line, showing the prompt to a person.
    var readLine: (_ prompt: String) -> LineEditor.Input
    /// Keeps what was typed.
    var addHistory: (String) -> Void = { _ in }
    /// Answers, and what commands show.
    var output: TextOutput = .standard
    /// Notices and errors.
    var notices: TextOutput = .error
    /// Whether notices are coloured.
    var isColored = false
    /// Name of the script, or nil where lines come from standard input.
    var scriptName: String?

    /// Standard input, with readline and a history where it is a terminal.
    static func standard(history: HistoryFile?, completion: ChatCompletion) -> ChatConsole {
        let editor = LineEditor(history: history, complete: completion.candidates)
        return ChatConsole(
            isInteractive: editor.mode != .piped, readLine: { editor.readLine(prompt: $0) },
            addHistory: editor.addHistory, isColored: ColorChoice.auto.isEnabled(2))
    }

    /// Lines of a descriptor, which stays open.
    static func script(_ name: String, descriptor: Int32) -> ChatConsole {
        let source = ScriptLines(descriptor)
        return ChatConsole(
            isInteractive: false, readLine: { _ in source.next() }, isColored: ColorChoice.auto.isEnabled(2),
            scriptName: name)
    }

    /// Says something beside the conversation.
    func notice(_ text: String) {
        // Who closed standard error does not want to hear it.
        try? notices.writeLine(TextStyle.dim(text, colored: isColored))
    }

    /// Shows what a command was asked for.
    func show(_ text: String) throws(OutputError) {
        try output.writeLine(Self.displayable(text, isTerminal: output.isTerminal))
        try output.flush()
    }

    /// Text as it may go to a terminal: a model's answer must not move the cursor or retitle the window, so control
    /// characters other than newline and tab are left out there. Pipes and files get all of it.
    static func displayable(_ text: String, isTerminal: Bool) -> String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F...0x9F).contains(scalar.value)
        }
        guard isTerminal, text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: text.unicodeScalars.lazy.filter { !isControl($0) })
        return String(result)
    }
}

/// Lines of a script, in a class because the reader can't be copied into a closure.
private final class ScriptLines {
    private var reader: LineReader

    init(_ descriptor: Int32) { reader = LineReader(descriptor) }

    func next() -> LineEditor.Input { reader.next().map { .line($0) } ?? .end }
}
