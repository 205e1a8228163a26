import Glibc
import Synchronization
import Testing

@testable import Terminal

/// The master's side of a terminal, whose other side is a line editor's.
private struct TerminalPair {
    let master: Int32
    let slave: Int32

    init() throws {
        // ioctl_tty(2); the numbers are macros that Swift does not see.
        let (unlock, slaveNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
        var (isLocked, number): (Int32, Int32) = (0, 0)
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        try #require(ioctl(master, unlock, &isLocked) == 0 && ioctl(master, slaveNumber, &number) == 0)
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        try #require(slave >= 0)
        var size = winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        write(master, bytes, bytes.count)
    }

    /// What the screen was sent until `text` came; a test that fails gives up after 20 seconds of silence.
    func wait(for text: String) -> String {
        var seen: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !String(decoding: seen, as: UTF8.self).contains(text) {
            var request = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 20_000) == 1 else { break }
            let count = read(master, &chunk, chunk.count)
            guard count > 0 else { break }
            seen += chunk[..<count]
        }
        return String(decoding: seen, as: UTF8.self)
    }
}

/// Tests that raise signals in the process that runs them: one at a time.
@Suite(.serialized) struct SignalTests {}

extension SignalTests {
    /// readline keeps one state a process, so all of it is one test, in the order of a session.
    @Suite struct LineEditorTests {
        @Test func completionKnowsTheWordBeforeTheCursor() {
            let request = LineEditor.CompletionRequest(line: "/set é tem x", wordStart: 8, cursor: 11)
            #expect(request.word == "tem" && request.textBeforeWord == "/set é ")
            #expect(LineEditor.CompletionRequest(line: "ab", wordStart: 9, cursor: -3).word == "")
        }

        @Test func pipedLinesNeedNoTerminal() {
            let (input, output) = makePipe()
            defer { close(input) }
            write(output, "one\ntwo", 7)
            close(output)
            let editor = LineEditor(input: input)
            #expect(editor.mode == .piped)
            #expect(editor.readLine(prompt: "> ") == .line("one"))
            #expect(editor.readLine(prompt: "> ") == .line("two"))
            #expect(editor.readLine(prompt: "> ") == .end)
        }

        @Test func sessionOnATerminal() async throws {
            setenv("TERM", "xterm", 1)
            setenv("INPUTRC", "/dev/null", 1)
            let terminal = try TerminalPair()
            let inputs = Mutex<[LineEditor.Input]>([])
            let slave = terminal.slave
            let isReadline = Mutex<Bool?>(nil)
            let done = makePipe()
            startTerminalThread {
                let editor = LineEditor(input: slave, output: slave) { request in
                    request.textBeforeWord == "/set "
                        ? ["temperature"] : ["/set", "/show"].filter { $0.hasPrefix(request.word) }
                }
                isReadline.withLock { $0 = editor.mode == .readline }
                editor.addHistory("from before")
                var number = 0
                while true {
                    number += 1
                    let input = editor.readLine(prompt: "[\(number)]> ", initialText: number == 6 ? "edit me" : "")
                    inputs.withLock { $0.append(input) }
                    if input == .end { break }
                }
                write(done.write, "x", 1)
            }
            let first = terminal.wait(for: "[1]> ")
            guard isReadline.withLock({ $0 }) == true else {
                // No libreadline on this machine: lines come as the terminal gives them.
                terminal.type("plain\n\u{4}")
                var byte: UInt8 = 0
                read(done.read, &byte, 1)
                #expect(inputs.withLock { $0 } == [.line("plain"), .end])
                return
            }
            #expect(first.contains("\u{1B}[?2004h"))
            terminal.type("héllo\u{1B}[D\u{1B}[DX\r")
            _ = terminal.wait(for: "[2]> ")
            terminal.type("\u{1B}[200~one\ntwo\nthree\u{1B}[201~\r")
            _ = terminal.wait(for: "[3]> ")
            terminal.type("/se\tte\t0.5\r")
            _ = terminal.wait(for: "[4]> ")
            terminal.type("\u{1B}[A\r")
            _ = terminal.wait(for: "[5]> ")
            terminal.type("thrown away")
            _ = terminal.wait(for: "thrown away")
            kill(getpid(), SIGINT)
            _ = terminal.wait(for: "[6]> ")
            terminal.type("!\r")
            _ = terminal.wait(for: "[7]> ")
            terminal.type(String(repeating: "y", count: 3000) + "\r")
            _ = terminal.wait(for: "[8]> ")
            terminal.type("\u{4}")
            var byte: UInt8 = 0
            read(done.read, &byte, 1)
            #expect(
                inputs.withLock { $0 } == [
                    .line("hélXlo"), .line("one\ntwo\nthree"), .line("/set temperature 0.5"), .line("from before"),
                    .interrupted(wasEmpty: false), .line("edit me!"), .line(String(repeating: "y", count: 3000)), .end,
                ])
        }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func startTerminalThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
            return nil
        }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
    pthread_detach(thread)
}
