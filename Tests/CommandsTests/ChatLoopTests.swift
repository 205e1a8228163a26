import ArgumentParser
import Glibc
import Terminal
import Testing

@testable import Commands

@Suite struct ChatLoopTests {
    private func run(
        _ console: FakeConsole, _ answerer: FakeAnswerer, settings: ChatSettings = ChatSettings(),
        system: String? = nil, other: FakeAnswerer? = nil, edit: @escaping (String) -> String = { $0 }
    ) async throws {
        let loop = ChatLoop(
            answerer: answerer, settings: settings, system: system, console: console.console,
            loadModel: { name in
                guard let other else { throw CommandFailure("no model \(name)") }
                return other
            }, editText: edit)
        try await loop.run()
    }

    @Test func pipedLinesAreAnsweredOnStandardOutputAlone() async throws {
        let console = FakeConsole(["Hi", "", "\"\"\"", "two", "/lines", "\"\"\"", "//slash"])
        let answerer = FakeAnswerer("Hello", "Two lines.\n", "")
        try await run(console, answerer, system: "Be brief.")
        #expect(console.shown == "Hello\nTwo lines.\n\n")
        #expect(console.said == "the answer is empty\n")
        #expect(
            answerer.lastPrompt.map(\.content) == [
                "Be brief.", "Hi", "Hello", "two\n/lines", "Two lines.\n", "/slash",
            ])
    }

    @Test func pipedErrorsAreToldAndMakeTheStatusOne() async throws {
        let console = FakeConsole(["/nonsense", "Hi", "/set top_p 2", "/undo", "/undo"])
        await #expect(throws: ExitCode(1)) { try await run(console, FakeAnswerer("Hello")) }
        #expect(console.shown == "Hello\n")
        let said = console.said.split(separator: "\n")
        try #require(said.count == 4)
        #expect(said[0].hasPrefix("pbctl: line 1: unknown command /nonsense"))
        #expect(said[1].hasPrefix("pbctl: line 3: top_p must be"))
        #expect(said[2] == "forgotten: Hi")
        #expect(said[3].hasPrefix("pbctl: line 5: there is no question"))
    }

    @Test func scriptStopsAtItsFirstError() async throws {
        let console = FakeConsole(["Hi", "\"\"\"", "a", "\"\"\"", "/load /nowhere/x", "Never"], scriptName: "talk.txt")
        let answerer = FakeAnswerer("One", "Two", "Three")
        await #expect(throws: ExitCode(1)) { try await run(console, answerer) }
        #expect(console.shown == "One\nTwo\n")
        #expect(console.said.hasPrefix("pbctl: talk.txt:5: cannot read /nowhere/x"))
        #expect(answerer.calls.count == 2)
    }

    @Test func blockThatIsNeverClosedIsAnErrorOffATerminal() async throws {
        let console = FakeConsole(["Hi", "\"\"\"open", "text"])
        await #expect(throws: ExitCode(1)) { try await run(console, FakeAnswerer()) }
        #expect(console.said.contains("line 2: the message is not closed"))
    }

    @Test func errorsOnATerminalEndNothing() async throws {
        let console = FakeConsole(["/nope", "Hi", "/bye", "never"], isInteractive: true)
        let answerer = FakeAnswerer("Hello")
        try await run(console, answerer)
        #expect(console.shown == "Hello\n")
        #expect(console.said.contains("fake · context 100 tokens"))
        #expect(console.history == ["/nope", "Hi", "/bye"])
    }

    @Test func interruptsAndBlocksAtThePrompt() async throws {
        let console = FakeConsole(inputs: [
            .interrupted(wasEmpty: true), .line("\"\"\"thrown"), .interrupted(wasEmpty: true), .line("\"\"\"a"),
            .line("b\"\"\""), .line("pasted\ntext\n"), .line("\"\"\"open"), .end, .line("Hi"), .end,
        ])
        let answerer = FakeAnswerer()
        try await run(console, answerer)
        #expect(console.said.occurrences(of: "Ctrl-D or /bye leaves") == 1)
        #expect(console.said.contains("thrown away"))
        #expect(answerer.lastPrompt.filter(\.isQuestion).map(\.content) == ["a\nb", "pasted\ntext", "Hi"])
        #expect(console.prompts == [">>> ", ">>> ", "... ", ">>> ", "... ", ">>> ", ">>> ", "... ", ">>> ", ">>> "])
        #expect(console.history == ["\"\"\"a\nb\"\"\"", "pasted\ntext\n", "Hi"])
    }

    @Test func retryAsksTheSameOnceMoreWithAnotherSeed() async throws {
        let console = FakeConsole(["Hi", "/retry", "/retry", "Next"])
        let answerer = FakeAnswerer("A", "B", "C", "D")
        try await run(console, answerer)
        #expect(answerer.calls.map(\.attempt) == [0, 1, 2, 0])
        #expect(answerer.lastPrompt.map(\.content) == ["Hi", "C", "Next"])
    }

    @Test func retryAtTemperatureZeroSaysThatItIsIdle() async throws {
        let console = FakeConsole(["/set temperature 0", "Hi", "/retry"])
        try await run(console, FakeAnswerer())
        #expect(console.said.contains("the temperature is 0"))
    }

    @Test func stoppedAnswerStaysAndAnUnbegunOneDoesNot() async throws {
        let answerer = FakeAnswerer(answers: [
            ChatAnswer(text: "Half", end: .interrupted, tokenCount: 1),
            ChatAnswer(text: "", end: .interrupted, tokenCount: 0),
        ])
        let console = FakeConsole(["Hi", "Again", "/show context", "Last"], isInteractive: true)
        try await run(console, answerer)
        #expect(console.shown.hasPrefix("Half\n  messages        2 (1 interrupted)\n"))
        #expect(answerer.lastPrompt.map(\.content) == ["Hi", "Half", "Last"])
    }

    @Test func stoppedAnswerEndsAPipeline() async throws {
        let console = FakeConsole(["Hi", "Never"])
        await #expect(throws: CancellationError.self) {
            try await run(console, FakeAnswerer(answers: [ChatAnswer(text: "Half", end: .interrupted, tokenCount: 1)]))
        }
        #expect(console.shown == "Half\n")
    }

    @Test func failedAnswerLeavesTheConversationAsItWas() async throws {
        let answerer = FakeAnswerer(answers: [
            ChatAnswer(text: "One", end: .complete, tokenCount: 1),
            ChatAnswer(text: "Bro", end: .failed("out of memory"), tokenCount: 1),
        ])
        let console = FakeConsole(["Hi", "/retry", "Next"], isInteractive: true)
        try await run(console, answerer)
        #expect(console.said.contains("the model failed: out of memory"))
        #expect(answerer.lastPrompt.map(\.content) == ["Hi", "One", "Next"])
    }

    @Test func longConversationLeavesOutTheOldestAndSaysSo() async throws {
        let question = Array(repeating: "w", count: 20).joined(separator: " ")
        let console = FakeConsole(["/set max_tokens 10"] + Array(repeating: question, count: 6) + ["/show context"])
        let answerer = FakeAnswerer()
        try await run(console, answerer, system: "S")
        #expect(console.said.contains("the prompt would have 109 tokens"))
        #expect(console.said.contains("the oldest 2 questions are left out with their answers, 65 tokens remain"))
        #expect(answerer.lastPrompt.first == .system("S"))
        #expect(console.shown.contains("left out        the oldest 4 messages"))
    }

    @Test func messageThatDoesNotFitIsRefused() async throws {
        let long = Array(repeating: "w", count: 200).joined(separator: " ")
        let console = FakeConsole(["Hi", long, "Next"], isInteractive: true)
        let answerer = FakeAnswerer("A", "B")
        try await run(console, answerer)
        #expect(console.said.contains("a prompt of 200 tokens"))
        #expect(answerer.lastPrompt.map(\.content) == ["Hi", "A", "Next"])
    }

    @Test func commandsShowWhatTheyAreAsked() async throws {
        let console = FakeConsole([
            "/help", "/help undo", "/set", "/set seed", "/show", "/show system", "/system Short.", "/system",
            "/show template", "/model", "/stats on", "Hi",
        ])
        try await run(console, FakeAnswerer("Hello"))
        for verb in ChatVerb.allCases { #expect(console.shown.contains(verb.usage)) }
        for text in ["seed off", "(no system message)\nShort.\n{}\nfake\nHello\n", "  model  fake", "top_k"] {
            #expect(console.shown.contains(text))
        }
        #expect(console.said.contains("1 tokens · context 3/100"))
    }

    @Test func clearKeepsTheSystemMessage() async throws {
        let console = FakeConsole(["Hi", "/clear", "Again", "/system off", "Last"])
        let answerer = FakeAnswerer("A", "B", "C")
        try await run(console, answerer, system: "S")
        #expect(console.said.contains("2 messages forgotten, not the system message"))
        #expect(answerer.lastPrompt.map(\.content) == ["Again", "B", "Last"])
    }

    @Test func editAsksTheChangedQuestion() async throws {
        let console = FakeConsole(["Hi", "/edit"], isInteractive: true)
        let answerer = FakeAnswerer("A", "B")
        try await run(console, answerer, edit: { $0 + " there\n" })
        #expect(answerer.lastPrompt.map(\.content) == ["Hi there"])
        let same = FakeConsole(["Hi", "/edit"], isInteractive: true)
        try await run(same, FakeAnswerer())
        #expect(same.said.contains("nothing was changed"))
    }

    @Test func anotherModelTakesUpTheConversation() async throws {
        let other = FakeAnswerer(answers: [], name: "other", templateSource: nil)
        let console = FakeConsole(["Hi", "/model other", "Next"])
        try await run(console, FakeAnswerer("A"), other: other)
        #expect(other.lastPrompt.map(\.content) == ["Hi", "A", "Next"])
        #expect(console.said.contains("other has no chat template"))
        let failing = FakeConsole(["Hi", "/model nowhere", "Next"], isInteractive: true)
        let first = FakeAnswerer("A")
        try await run(failing, first)
        #expect(failing.said.contains("no model nowhere") && first.calls.count == 2)
    }

    @Test func conversationIsSavedAndTakenUpAgain() async throws {
        let path = "/tmp/pbctl-chat-\(getpid())-\(UInt32.random(in: 0 ... .max)).jsonl"
        defer { unlink(path) }
        let first = FakeConsole(["/set top_k 9", "Hi", "/save \(path)", "More", "/save \(path)"])
        try await run(first, FakeAnswerer("A", "B"), system: "S")
        #expect(first.said.contains("3 messages saved in \(path)\n"))
        #expect(first.said.contains("5 messages saved in \(path), whose old content is replaced"))
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)

        let second = FakeConsole(["/save \(path)", "/load \(path)", "/set top_k", "/retry"], isInteractive: true)
        let answerer = FakeAnswerer("C")
        try await run(second, answerer)
        #expect(second.said.contains("is there already (/save --force \(path) replaces it)"))
        #expect(second.shown == "top_k 9\nC\n")
        #expect(answerer.lastPrompt.map(\.content) == ["S", "Hi", "A", "More"])
    }

    @Test func controlCharactersDoNotReachATerminal() {
        let text = "a\u{1B}[2Jb\u{7}\tc\n\u{9B}d\r\u{1F600}"
        #expect(ChatConsole.displayable(text, isTerminal: true) == "a[2Jb\tc\nd\u{1F600}")
        #expect(ChatConsole.displayable(text, isTerminal: false) == text)
    }
}

extension String {
    fileprivate func occurrences(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
