import Terminal

/// Text that is shown anew at each change: in its own place on a terminal, below the last elsewhere.
struct LiveText {
    private var last: String?
    private var isShown = false
    private let output = TextOutput.standard

    /// Shows a text, if it is another than the last.
    mutating func show(_ text: String) throws(OutputError) {
        guard text != last else { return }
        last = text
        if output.isTerminal {
            // The first clears the screen, each goes to the top and clears below what it wrote.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { "\($0)\u{1B}[K" }
            try output.write((isShown ? "\u{1B}[H" : "\u{1B}[2J\u{1B}[H") + lines.joined(separator: "\n") + "\u{1B}[J")
        } else {
            try output.write(text.hasSuffix("\n") ? text : text + "\n")
        }
        isShown = true
        try output.flush()
    }
}

/// One line on standard error about something that goes on: rewritten on a terminal, one after another elsewhere.
struct StatusLine {
    private var last: String?
    private var isShown = false
    private let output = TextOutput.error
    /// Whether lines off a terminal are wanted.
    private let isVerbose: Bool

    init(isVerbose: Bool = true) { self.isVerbose = isVerbose }

    /// Shows a line, if it is another than the last.
    mutating func show(_ text: String) {
        guard text != last else { return }
        last = text
        if output.isTerminal {
            let width = max(TerminalState.width(2) - 1, 10)
            try? output.write("\r\(text.count > width ? text.prefix(width - 1) + "…" : text[...])\u{1B}[K")
            isShown = true
        } else if isVerbose {
            try? output.writeLine(text)
        }
    }

    /// Takes the line away from a terminal.
    mutating func clear() {
        if isShown { try? output.write("\r\u{1B}[K") }
        isShown = false
        last = nil
    }
}
