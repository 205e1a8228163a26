import Glibc

/// When to colour, as `--color` says it.
public enum ColorChoice: String, Sendable, CaseIterable {
    case auto
    case always
    case never

    /// Whether text to a descriptor is coloured. An explicit choice wins; then `NO_COLOR` (no-color.org: set to
    /// anything but nothing), `CLICOLOR_FORCE`, `TERM=dumb`, `CLICOLOR=0`; then whether it is a terminal.
    public func isEnabled(isTerminal: Bool, environment: (String) -> String?) -> Bool {
        switch self {
        case .always: return true
        case .never: return false
        case .auto:
            if let value = environment("NO_COLOR"), !value.isEmpty { return false }
            if let value = environment("CLICOLOR_FORCE"), !value.isEmpty, value != "0" { return true }
            if environment("TERM") == "dumb" || environment("CLICOLOR") == "0" { return false }
            return isTerminal
        }
    }

    /// The same for a descriptor and environment of this process.
    public func isEnabled(_ descriptor: Int32 = 1) -> Bool {
        isEnabled(isTerminal: TerminalState.isTerminal(descriptor), environment: TerminalState.environment)
    }
}

/// How a piece of text stands out, in the codes that every terminal since the VT100 knows (ECMA-48 SGR).
public enum TextStyle: Sendable {
    case bold
    case dim
    case red
    case green
    case yellow
    case blue
    case cyan

    private var code: String {
        switch self {
        case .bold: "1"
        case .dim: "2"
        case .red: "31"
        case .green: "32"
        case .yellow: "33"
        case .blue: "34"
        case .cyan: "36"
        }
    }

    /// The text in this style, or as it is where colours are off.
    public func callAsFunction(_ text: String, colored: Bool) -> String {
        colored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// The same for a prompt of ``LineEditor``, which must know which characters take no room.
    public func prompt(_ text: String, colored: Bool) -> String {
        colored ? "\u{1}\u{1B}[\(code)m\u{2}\(text)\u{1}\u{1B}[0m\u{2}" : text
    }
}
