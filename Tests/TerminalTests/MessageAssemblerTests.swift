import Terminal
import Testing

@Suite struct MessageAssemblerTests {
    private func steps(_ lines: [String]) -> [MessageAssembler.Step] {
        var assembler = MessageAssembler()
        return lines.map { assembler.add($0) }
    }

    @Test func lineIsAMessage() {
        #expect(
            steps(["hello", "", "  indented "]) == [
                .message("hello", isBlock: false), .message("", isBlock: false),
                .message("  indented ", isBlock: false),
            ])
    }

    @Test func blockGathersLinesUntilItCloses() {
        #expect(
            steps(["\"\"\"", "one", "", "  two", "\"\"\""]) == [
                .more, .more, .more, .more, .message("one\n\n  two", isBlock: true),
            ])
        #expect(steps(["\"\"\"one", "two\"\"\" "]) == [.more, .message("one\ntwo", isBlock: true)])
    }

    @Test func blockMayBeOneLine() {
        #expect(steps(["\"\"\"/not a command\"\"\""]) == [.message("/not a command", isBlock: true)])
        #expect(steps(["\"\"\"\"\"\""]) == [.message("", isBlock: true)])
    }

    @Test func marksInsideALineAreText() {
        #expect(
            steps(["a \"\"\" b", "say \"\"\""]) == [
                .message("a \"\"\" b", isBlock: false), .message("say \"\"\"", isBlock: false),
            ])
    }

    @Test func pastedLinesAreOneMessage() {
        #expect(steps(["one\ntwo\r\nthree"]) == [.message("one\ntwo\r\nthree", isBlock: false)])
        #expect(steps(["\"\"\"\none\ntwo\n\"\"\""]) == [.message("one\ntwo", isBlock: true)])
    }

    @Test func openBlockCanBeDroppedOrFinished() {
        var assembler = MessageAssembler()
        #expect(assembler.add("\"\"\"half") == .more)
        #expect(assembler.isInBlock)
        assembler.discard()
        #expect(!assembler.isInBlock && assembler.finish() == nil)
        #expect(assembler.add("\"\"\"half") == .more)
        #expect(assembler.finish() == "half")
    }
}
