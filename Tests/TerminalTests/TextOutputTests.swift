import Glibc
import Testing

@testable import Terminal

/// A pipe whose ends a test closes when it likes.
func makePipe() -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    pipe(&ends)
    return (ends[0], ends[1])
}

@Suite struct TextOutputTests {
    @Test func writesGatherOffATerminalUntilFlushed() throws {
        let (input, output) = makePipe()
        defer { close(input) }
        let text = TextOutput(output)
        try text.write("one ")
        try text.write("two")
        var waiting: Int32 = 0
        _ = ioctl(input, UInt(FIONREAD), &waiting)
        #expect(waiting == 0)
        try text.flush()
        close(output)
        var reader = LineReader(input)
        #expect(reader.rest() == "one two")
    }

    @Test func closedPipeIsAnErrorOfItsOwn() {
        TerminalState.ignoreBrokenPipes()
        let (input, output) = makePipe()
        close(input)
        let text = TextOutput(output, gathers: false)
        #expect(throws: OutputError.closed) { try text.write("x") }
        close(output)
        #expect(throws: OutputError.failed(EBADF)) { try text.write("x") }
    }

    @Test func fullDiskIsAnError() {
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        #expect(throws: OutputError.failed(ENOSPC)) { try TextOutput(full, gathers: false).write("x") }
    }

    @Test func colorFollowsFlagThenEnvironmentThenTerminal() {
        func isEnabled(_ choice: ColorChoice, _ environment: [String: String], _ isTerminal: Bool) -> Bool {
            choice.isEnabled(isTerminal: isTerminal) { environment[$0] }
        }
        #expect(isEnabled(.auto, [:], true) && !isEnabled(.auto, [:], false))
        #expect(!isEnabled(.auto, ["NO_COLOR": "1", "CLICOLOR_FORCE": "1"], true))
        #expect(isEnabled(.auto, ["NO_COLOR": ""], true))
        #expect(isEnabled(.auto, ["CLICOLOR_FORCE": "1"], false) && !isEnabled(.auto, ["CLICOLOR_FORCE": "0"], false))
        #expect(!isEnabled(.auto, ["TERM": "dumb"], true) && !isEnabled(.auto, ["CLICOLOR": "0"], true))
        #expect(isEnabled(.always, ["NO_COLOR": "1"], false) && !isEnabled(.never, [:], true))
        #expect(
            TextStyle.red("x", colored: false) == "x" && TextStyle.red("x", colored: true) == "\u{1B}[31mx\u{1B}[0m")
    }
}
