import Glibc
import ServingEngine
import ServingTensors
import Synchronization
import Terminal

@testable import Commands

/// A model whose tokens are words and whose answers are written beforehand.
final class FakeAnswerer: ChatAnswering {
    let name: String
    let contextLength: Int?
    let templateSource: String?
    /// What it was asked, the prompts' last messages first to last, and the attempts.
    struct Call: Equatable {
        var promptTokenCount: Int
        var attempt: UInt64
        var temperature: Float
    }
    private let state: Mutex<(answers: [ChatAnswer], calls: [Call], prompts: [[ChatMessage]])>

    init(answers: [ChatAnswer], name: String = "fake", contextLength: Int? = 100, templateSource: String? = "{}") {
        self.name = name
        self.contextLength = contextLength
        self.templateSource = templateSource
        state = Mutex((answers, [], []))
    }

    convenience init(_ texts: String...) {
        self.init(answers: texts.map { ChatAnswer(text: $0, end: .complete, tokenCount: 1) })
    }

    var facts: [(name: String, value: String)] { [("model", name)] }
    var calls: [Call] { state.withLock { $0.calls } }
    /// The messages that were rendered last.
    var lastPrompt: [ChatMessage] { state.withLock { $0.prompts.last ?? [] } }

    func promptTokens(_ messages: [ChatMessage]) throws -> [TokenID] {
        state.withLock { $0.prompts.append(messages) }
        return Self.tokens(messages)
    }

    func answer(
        _ prompt: FittedPrompt, settings: ChatSettings, attempt: UInt64,
        onText: @escaping @Sendable (String) throws -> Void
    ) async throws -> ChatAnswer {
        let answer = state.withLock { state in
            state.calls.append(
                Call(
                    promptTokenCount: prompt.tokenIDs.count, attempt: attempt,
                    temperature: settings.sampling.temperature))
            return state.answers.isEmpty
                ? ChatAnswer(text: "answer \(state.calls.count)", end: .complete, tokenCount: 1)
                : state.answers.removeFirst()
        }
        for character in answer.text { try onText(String(character)) }
        return answer
    }

    /// A token a word.
    static func tokens(_ messages: [ChatMessage]) -> [TokenID] {
        messages.flatMap { $0.content.split(separator: " ").map { TokenID($0.utf8.count) } }
    }
}

/// A console whose lines are given and whose output is gathered in memory.
final class FakeConsole {
    private let output = Capture()
    private let notices = Capture()
    private var inputs: [LineEditor.Input]
    private(set) var history: [String] = []
    private(set) var prompts: [String] = []
    private let isInteractive: Bool
    private let scriptName: String?

    init(_ lines: [String], isInteractive: Bool = false, scriptName: String? = nil) {
        inputs = lines.map { .line($0) }
        self.isInteractive = isInteractive
        self.scriptName = scriptName
    }

    init(inputs: [LineEditor.Input]) {
        self.inputs = inputs
        isInteractive = true
        scriptName = nil
    }

    var console: ChatConsole {
        ChatConsole(
            isInteractive: isInteractive,
            readLine: { prompt in
                self.prompts.append(prompt)
                return self.inputs.isEmpty ? .end : self.inputs.removeFirst()
            },
            addHistory: { self.history.append($0) },
            output: output.text, notices: notices.text, scriptName: scriptName)
    }

    var shown: String { output.content }
    var said: String { notices.content }
}

/// A text output into a file without a name.
private final class Capture {
    private let descriptor = Capture.unnamedFile()
    var text: TextOutput { TextOutput(descriptor, gathers: false) }

    var content: String {
        lseek(descriptor, 0, SEEK_SET)
        var reader = LineReader(descriptor)
        return reader.rest()
    }

    private static func unnamedFile() -> Int32 {
        var template = Array("/tmp/pbctl-test-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        unlink(template)
        return descriptor
    }

    deinit { close(descriptor) }
}
