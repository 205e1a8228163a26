import Glibc

/// What the process's terminal is like.
public enum TerminalState {
    /// Whether a descriptor is a terminal.
    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal behind a descriptor; `COLUMNS` or 80 where there is none.
    public static func width(_ descriptor: Int32 = 1) -> Int {
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
        let columns = getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? 80
        return columns > 0 ? columns : 80
    }

    /// From now on a write to a pipe that nobody reads fails with an error and kills nothing. Once, at the start.
    public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    static let environment: @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
}
