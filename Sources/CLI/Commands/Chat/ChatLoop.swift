import ArgumentParser
import Terminal

/// Reads lines, makes messages and commands of them and has a ``ChatSession`` answer, until the user leaves.
///
/// On a terminal an error is told and the conversation goes on. Off a terminal every line is a message or a command,
/// answers go to standard output, and the loop throws `ExitCode(1)` at the end where a line failed; a script stops at
/// its first error.
struct ChatLoop {
    private let session: ChatSession
    private let console: ChatConsole

    /// A conversation with whatever answers.
    init(
        answerer: any ChatAnswering, settings: ChatSettings = ChatSettings(), system: String? = nil,
        console: ChatConsole, loadModel: @escaping @Sendable (String) throws -> any ChatAnswering,
        editText: @escaping (String) throws -> String = { try ExternalEditor.edit($0) }
    ) {
        self.console = console
        let system = system.flatMap { $0.isEmpty ? nil : $0 }
        session = ChatSession(
            answerer: answerer, conversation: Conversation(system: system), settings: settings, console: console,
            loadModel: loadModel, editText: editText)
    }

    /// Runs until `/bye` or the end of input.
    /// - Throws: `ExitCode(1)` where lines failed off a terminal; `OutputError` where the reader of the answers has
    ///   gone; `CancellationError` where Ctrl-C stopped an answer off a terminal.
    func run() async throws {
        if console.isInteractive { console.notice(session.banner) }
        if let note = session.templateNote { console.notice(note) }
        // Between an answer's end and the next prompt Ctrl-C must not end the program.
        let scope = console.isInteractive ? InterruptMonitor.open { _ in } : nil
        defer { if let scope { InterruptMonitor.close(scope) } }
        var lines = Lines(console: console)
        while !session.isOver, let entry = lines.next() {
            do {
                if entry.isUnfinished { throw CommandFailure("the message is not closed: \"\"\" is missing") }
                try await session.perform(ChatCommandLine(entry.text, isBlock: entry.isBlock))
            } catch let error as OutputError {
                throw error
            } catch let error as CancellationError {
                throw error
            } catch {
                report(error, lineNumber: entry.lineNumber)
                lines.failureCount += 1
                if console.scriptName != nil { break }
            }
        }
        try console.output.flush()
        if !console.isInteractive, lines.failureCount > 0 { throw ExitCode(ExitStatus.failed) }
    }

    private func report(_ error: any Error, lineNumber: Int) {
        let text = "\(error)"
        if console.isInteractive {
            console.notice(text)
        } else {
            let place = console.scriptName.map { "\($0):\(lineNumber)" } ?? "line \(lineNumber)"
            console.notice("pbctl: \(place): \(text)")
        }
    }
}

extension ChatLoop {
    /// Messages and commands out of a console's lines.
    private struct Lines {
        struct Entry {
            var text: String
            var isBlock: Bool
            /// Where it began, from 1.
            var lineNumber: Int
            /// Whether the input ended in a `"""` block.
            var isUnfinished = false
        }

        let console: ChatConsole
        var failureCount = 0
        private var assembler = MessageAssembler()
        private var lineCount = 0
        private var firstLine = 1
        private var typed: [String] = []

        init(console: ChatConsole) { self.console = console }

        /// The next entry, or nil at the end.
        mutating func next() -> Entry? {
            while true {
                switch console.readLine(assembler.isInBlock ? "... " : ">>> ") {
                case .line(let line):
                    if let entry = add(line) { return entry }
                case .interrupted(let wasEmpty):
                    if wasEmpty, !assembler.isInBlock {
                        console.notice("Ctrl-D or /bye leaves, Ctrl-C stops an answer")
                    }
                    discardBlock()
                case .end:
                    guard assembler.isInBlock else { return nil }
                    discardBlock()
                    guard console.isInteractive else {
                        return Entry(text: "", isBlock: true, lineNumber: firstLine, isUnfinished: true)
                    }
                    console.notice("the open \"\"\" message is thrown away; Ctrl-D again leaves")
                }
            }
        }

        private mutating func add(_ line: String) -> Entry? {
            lineCount += 1
            if !assembler.isInBlock { firstLine = lineCount }
            typed.append(line)
            guard case .message(let text, let isBlock) = assembler.add(line) else { return nil }
            console.addHistory(typed.joined(separator: "\n"))
            typed = []
            return Entry(text: text, isBlock: isBlock, lineNumber: firstLine)
        }

        private mutating func discardBlock() {
            assembler.discard()
            typed = []
        }
    }
}
