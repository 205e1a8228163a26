import CReadline
import Glibc
import Synchronization

/// Lines from a person: GNU readline on a terminal, plain lines elsewhere.
///
/// Used by the REPL in one thread (readline keeps its state in globals, so there is one editor a process). Where
/// standard input is no terminal, no prompt is shown and nothing is echoed; where libreadline is not installed or the
/// terminal is dumb, lines are read as the terminal gives them. readline brings `~/.inputrc` (with `$if pbctl`), vi
/// keys, Ctrl-R, and bracketed paste: a pasted text of many lines comes as one line with newlines in it. Alt-Enter
/// puts a newline into the line.
public final class LineEditor {
    /// What a person did at the prompt.
    public enum Input: Sendable, Equatable {
        /// A line without its newline; with newlines in it where it was pasted.
        case line(String)
        /// Ctrl-C: the line was thrown away. `wasEmpty` says that there was none.
        case interrupted(wasEmpty: Bool)
        /// Ctrl-D, or the end of the pipe.
        case end
    }

    /// A wish to complete the word before the cursor.
    public struct CompletionRequest: Sendable, Equatable {
        /// The whole line.
        public let line: String
        /// The word to complete: what stands between the last space and the cursor.
        public let word: String
        /// The line up to the word.
        public let textBeforeWord: String

        /// A request for a line whose word has the given UTF-8 offsets.
        public init(line: String, wordStart: Int, cursor: Int) {
            let bytes = Array(line.utf8)
            let start = min(max(wordStart, 0), bytes.count)
            let end = min(max(cursor, start), bytes.count)
            self.line = line
            word = String(decoding: bytes[start..<end], as: UTF8.self)
            textBeforeWord = String(decoding: bytes[..<start], as: UTF8.self)
        }
    }

    /// How lines come in.
    public enum Mode: Sendable {
        /// readline on a terminal.
        case readline
        /// A terminal without readline.
        case plain
        /// A pipe or a file.
        case piped
    }

    /// How lines come in here.
    public let mode: Mode
    private let input: Int32
    private let output: Int32
    private let history: HistoryFile?
    private let complete: (CompletionRequest) -> [String]
    private var reader: LineReader
    private var lastEntry: String?
    private var signals: (read: Int32, write: Int32)?

    private static let handledSignals = [SIGINT, SIGWINCH, SIGTSTP, SIGTERM, SIGHUP]

    /// An editor on the process's terminal.
    /// - Parameters:
    ///   - history: where lines that were typed are kept, or nil for nowhere.
    ///   - complete: gives whole words to put in the place of the request's word; called while a line is read.
    public init(
        history: HistoryFile? = nil, input: Int32 = 0, output: Int32? = nil,
        complete: @escaping (CompletionRequest) -> [String] = { _ in [] }
    ) {
        self.input = input
        // An answer may go to a file while the prompt stays on the screen.
        self.output = output ?? (TerminalState.isTerminal(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO)
        self.history = history
        self.complete = complete
        reader = LineReader(input)
        guard TerminalState.isTerminal(input) else {
            mode = .piped
            return
        }
        let isDumb = TerminalState.environment("TERM").map { $0 == "dumb" || $0.isEmpty } ?? true
        Self.useUTF8()
        mode = !isDumb && creadline_load("pbctl") && creadline_use(input, self.output) ? .readline : .plain
        if mode == .readline { loadHistory() }
    }

    deinit {
        if let signals {
            close(signals.read)
            close(signals.write)
        }
    }

    /// Keeps an entry in the history, in memory and in the file; a message of many lines is one entry.
    public func addHistory(_ entry: String) {
        guard !entry.isEmpty, !entry.hasPrefix(" ") else { return }
        if lastEntry.map({ $0.utf8.elementsEqual(entry.utf8) }) ?? false { return }
        lastEntry = entry
        if mode == .readline { creadline_add_history(entry) }
        if mode != .piped { history?.add(entry) }
    }

    /// Reads a line, blocking the thread.
    /// - Parameters:
    ///   - prompt: shown on a terminal only; see ``TextStyle/prompt(_:colored:)`` for colours.
    ///   - initialText: stands in the line to begin with, under readline.
    public func readLine(prompt: String, initialText: String = "") -> Input {
        switch mode {
        case .piped: return reader.next().map { .line($0) } ?? .end
        case .plain: return withSignals { readPlainLine(prompt) }
        case .readline: return withSignals { readEditedLine(prompt, initialText) }
        }
    }

    /// All that is left of a piped input, as it is.
    public func readRest() -> String { reader.rest() }

    private static func useUTF8() {
        if setlocale(LC_CTYPE, "") == nil || String(cString: nl_langinfo(nl_item(CODESET))) != "UTF-8" {
            setlocale(LC_CTYPE, "C.UTF-8")
        }
    }

    private func loadHistory() {
        creadline_clear_history()
        guard let history else { return }
        history.compact()
        for entry in history.entries() {
            creadline_add_history(entry)
            lastEntry = entry
        }
    }

    private func show(_ text: String) { try? TextOutput(output, gathers: false).write(text) }
}

// MARK: - On a terminal

extension LineEditor {
    private enum Event {
        case input
        case signal(Int32)
    }

    /// Signals come as bytes of a pipe while `body` runs, so that they and the keyboard are awaited in one place.
    private func withSignals(_ body: () -> Input) -> Input {
        if signals == nil {
            var ends: [Int32] = [-1, -1]
            if signal_pipe_create(&ends, false) { signals = (ends[0], ends[1]) }
        }
        guard let signals else { return body() }
        _ = signal_pipe_install(signals.write, Self.handledSignals, Int32(Self.handledSignals.count))
        defer { signal_pipe_restore() }
        return body()
    }

    private func nextEvent() -> Event {
        guard let signals else { return .input }
        while true {
            var requests = [
                pollfd(fd: signals.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&requests, 2, -1) >= 0 else {
                if errno == EINTR { continue }
                return .input
            }
            if requests[0].revents != 0 {
                var byte: UInt8 = 0
                if read(signals.read, &byte, 1) == 1 { return .signal(Int32(byte)) }
            }
            if requests[1].revents != 0 { return .input }
        }
    }

    private func readPlainLine(_ prompt: String) -> Input {
        show(prompt.filter { $0 != "\u{1}" && $0 != "\u{2}" })
        while !reader.hasWholeLine {
            guard case .signal(let number) = nextEvent() else { break }
            switch number {
            case SIGINT:
                show("\n")
                return .interrupted(wasEmpty: true)
            case SIGTSTP: raise(SIGSTOP)
            case SIGTERM, SIGHUP: die_by_signal(number)
            default: break
            }
        }
        return reader.next().map { .line($0) } ?? .end
    }

    /// What readline's handler brought: nothing yet, a line, or the end. One thread reads lines, see above.
    private static let received = Mutex<Input?>(nil)

    private func readEditedLine(_ prompt: String, _ initialText: String) -> Input {
        Self.received.withLock { $0 = nil }
        creadline_set_completer(
            { context, line, start, end in
                guard let context, let line else { return nil }
                let editor = Unmanaged<LineEditor>.fromOpaque(context).takeUnretainedValue()
                let request = CompletionRequest(
                    line: String(cString: line), wordStart: Int(start), cursor: Int(end))
                return LineEditor.list(editor.complete(request))
            }, Unmanaged.passUnretained(self).toOpaque())
        defer { creadline_set_completer(nil, nil) }
        creadline_begin(prompt, initialText) { line in
            let input = line.map { Input.line(String(cString: $0)) } ?? .end
            LineEditor.received.withLock { $0 = input }
            free(line)
        }
        while true {
            switch nextEvent() {
            case .input: creadline_read_characters()
            case .signal(let number):
                if let input = handle(number) { return input }
            }
            if let input = Self.received.withLock({ $0 }) {
                if input == .end { show("\n") }
                return input
            }
        }
    }

    private func handle(_ number: Int32) -> Input? {
        switch number {
        case SIGINT:
            let wasEmpty = creadline_is_line_empty()
            creadline_discard_line()
            creadline_end()
            return .interrupted(wasEmpty: wasEmpty)
        case SIGWINCH: creadline_resize()
        case SIGTSTP:
            creadline_release_terminal()
            raise(SIGSTOP)
            creadline_take_terminal()
        case SIGTERM, SIGHUP:
            creadline_end()
            die_by_signal(number)
        default: break
        }
        return nil
    }

    /// Candidates in C's form. The first entry that readline wants, their common start, it works out itself.
    private static func list(_ words: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        let words = words.filter { !$0.isEmpty && !$0.utf8.contains(0) }
        guard !words.isEmpty else { return nil }
        let size = (words.count + 1) * MemoryLayout<UnsafeMutablePointer<CChar>?>.stride
        guard let memory = malloc(size) else { return nil }
        let list = memory.bindMemory(to: UnsafeMutablePointer<CChar>?.self, capacity: words.count + 1)
        for (position, word) in words.enumerated() { (list + position).initialize(to: strdup(word)) }
        (list + words.count).initialize(to: nil)
        return list
    }
}
