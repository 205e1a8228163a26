import ServingEngine
import Terminal

/// A conversation as it goes on: what was said, how answers are made, and with which model.
///
/// Called by ``ChatLoop`` with one command line after another; calls ``ChatAnswering``. After an error the conversation
/// is what it was before.
final class ChatSession {
    private(set) var conversation: Conversation
    private(set) var settings: ChatSettings
    private var answerer: any ChatAnswering
    private let console: ChatConsole
    private let loadModel: @Sendable (String) throws -> any ChatAnswering
    private let editText: (String) throws -> String
    /// How many of the oldest messages are left out of prompts, because the context is full.
    private var omittedMessageCount = 0
    /// How often the last question was answered anew.
    private var attempt: UInt64 = 0
    /// Files that this conversation was read from or written to, and that may be written again.
    private var ownFiles: Set<[UInt8]> = []
    /// Whether the user has left.
    private(set) var isOver = false

    init(
        answerer: any ChatAnswering, conversation: Conversation, settings: ChatSettings, console: ChatConsole,
        loadModel: @escaping @Sendable (String) throws -> any ChatAnswering,
        editText: @escaping (String) throws -> String
    ) {
        self.answerer = answerer
        self.conversation = conversation
        self.settings = settings
        self.console = console
        self.loadModel = loadModel
        self.editText = editText
    }

    /// Does what a line says.
    func perform(_ line: ChatCommandLine) async throws {
        switch line {
        case .nothing: break
        case .message(let text): try await ask(text)
        case .help(let verb): try console.show(verb.map { "\($0.usage)\n  \($0.summary)" } ?? ChatVerb.helpText)
        case .set(let name, let value): try set(name, value)
        case .show(let topic): try show(topic ?? .info)
        case .system(let change): try changeSystem(change)
        case .clear: clear()
        case .save(let path, let isForced): try save(path, isForced: isForced)
        case .load(let path): try load(path)
        case .retry: try await retry()
        case .undo: try undo()
        case .edit: try await edit()
        case .statistics(let isOn):
            settings.showsStatistics = isOn ?? !settings.showsStatistics
            console.notice("statistics are \(settings.showsStatistics ? "on" : "off")")
        case .model(let name): try await changeModel(name)
        case .leave: isOver = true
        }
    }

    /// What a person is told to begin with.
    var banner: String {
        let context = answerer.contextLength.map { " · context \($0) tokens" } ?? ""
        return "\(answerer.name)\(context) · /help shows the commands"
    }

    /// What has to be said about a model's way to chat, if anything.
    var templateNote: String? {
        answerer.templateSource == nil
            ? "\(answerer.name) has no chat template: the conversation is continued as User: and Assistant: lines" : nil
    }
}

// MARK: - Questions and answers

extension ChatSession {
    private func ask(_ text: String) async throws {
        var next = conversation
        next.append(.user(text))
        try await answerLastQuestion(of: next, attempt: 0)
    }

    private func retry() async throws {
        var next = conversation
        guard next.dropLastAnswer() else { throw CommandFailure("there is no question to answer again") }
        if settings.sampling.temperature == 0 {
            console.notice("the temperature is 0, so that the answer will be the same (/set temperature 0.7)")
        }
        try await answerLastQuestion(of: next, attempt: attempt &+ 1)
    }

    private func edit() async throws {
        guard console.isInteractive else { throw CommandFailure("/edit wants a terminal") }
        let old = conversation.lastQuestion ?? ""
        var text = try editText(old)
        while text.last?.isNewline ?? false { text.removeLast() }
        guard text.contains(where: { !$0.isWhitespace }), !text.utf8.elementsEqual(old.utf8) else {
            return console.notice("nothing was changed")
        }
        console.addHistory(text)
        var next = conversation
        _ = next.undo()
        next.append(.user(text))
        try await answerLastQuestion(of: next, attempt: 0)
    }

    /// Answers a conversation that ends with a question, and takes it up if there is an answer.
    private func answerLastQuestion(of next: Conversation, attempt: UInt64) async throws {
        let prompt = try fit(next)
        let (answerer, settings, output) = (answerer, settings, console.output)
        let (result, wasInterrupted) = await InterruptMonitor.run(exitsOnSecond: false) { () async throws in
            try await answerer.answer(prompt, settings: settings, attempt: attempt) { text in
                try output.write(ChatConsole.displayable(text, isTerminal: output.isTerminal))
            }
        }
        let answer = try result.get()
        let wasStopped = wasInterrupted || answer.end == .interrupted
        // The answer stands on lines of its own, also for whoever reads them through a pipe.
        if !answer.text.hasSuffix("\n"), !answer.text.isEmpty || !wasStopped { try output.write("\n") }
        try output.flush()
        if case .failed(let message) = answer.end { throw CommandFailure("the model failed: \(message)") }
        if wasStopped, answer.text.isEmpty {
            console.notice("stopped before the answer began; the question is forgotten")
        } else {
            conversation = next
            conversation.append(
                ChatMessage(role: "assistant", content: answer.text, isInterrupted: wasStopped))
            omittedMessageCount = prompt.omittedMessageCount
            self.attempt = attempt
            tell(answer, promptTokenCount: prompt.tokenIDs.count, wasStopped: wasStopped)
        }
        // A pipeline that is interrupted ends, as any command does.
        if wasStopped, !console.isInteractive { throw CancellationError() }
    }

    private func fit(_ next: Conversation) throws -> FittedPrompt {
        guard let contextLength = answerer.contextLength else {
            return FittedPrompt(
                messages: next.promptMessages(omitting: omittedMessageCount), tokenIDs: [],
                omittedMessageCount: omittedMessageCount, overflowTokenCount: nil)
        }
        let budget = ContextBudget(contextLength: contextLength, maxTokenCount: settings.maxTokenCount)
        let prompt = try next.fitted(
            budget, omitting: min(omittedMessageCount, next.messages.count), render: answerer.promptTokens)
        if let overflow = prompt.overflowTokenCount {
            let count = next.questionCount(before: prompt.omittedMessageCount)
            console.notice(
                "the prompt would have \(overflow) tokens, and the context \(contextLength) with an answer of "
                    + "\(budget.answerReserve): the oldest \(count == 1 ? "question is" : "\(count) questions are") "
                    + "left out with \(count == 1 ? "its answer" : "their answers"), \(prompt.tokenIDs.count) tokens "
                    + "remain")
        }
        return prompt
    }

    private func tell(_ answer: ChatAnswer, promptTokenCount: Int, wasStopped: Bool) {
        let context = answerer.contextLength
        if wasStopped {
            console.notice("stopped; what there is of the answer stays in the conversation")
        } else if answer.end == .length {
            let isFull = settings.maxTokenCount.map { answer.tokenCount < $0 } ?? true
            console.notice(
                isFull
                    ? "the answer ends here because the context\(context.map { " of \($0) tokens" } ?? "") is full"
                    : "the answer ends here because of max_tokens \(answer.tokenCount)")
        } else if answer.text.isEmpty {
            console.notice("the answer is empty")
        }
        guard settings.showsStatistics else { return }
        let statistics = answer.statistics ?? "\(answer.tokenCount) tokens"
        let use = context.map { " · context \(promptTokenCount + answer.tokenCount)/\($0)" } ?? ""
        console.notice(statistics + use)
    }
}

// MARK: - Settings and model

extension ChatSession {
    private func set(_ name: String?, _ value: String?) throws {
        guard let name else { return try console.show(settings.table) }
        let setting = try ChatSetting(named: name)
        if let value {
            try settings.set(setting, to: value)
            console.notice("\(setting.rawValue) is \(settings.text(of: setting))")
        } else {
            try console.show("\(setting.rawValue) \(settings.text(of: setting))")
        }
    }

    private func changeSystem(_ change: ChatCommandLine.SystemChange) throws {
        switch change {
        case .show: try console.show(conversation.system ?? "(no system message)")
        case .clear:
            conversation.system = nil
            console.notice("the system message is gone")
        case .set(let text):
            conversation.system = text
            console.notice("the system message is set")
        }
    }

    private func show(_ topic: ChatCommandLine.Topic) throws {
        switch topic {
        case .parameters: try console.show(settings.table)
        case .system: try changeSystem(.show)
        case .template: try console.show(answerer.templateSource ?? "(no chat template)")
        case .info: try console.show(Self.table(answerer.facts))
        case .context: try console.show(Self.table(try contextFacts()))
        }
    }

    private func contextFacts() throws -> [(name: String, value: String)] {
        let interrupted = conversation.messages.count(where: \.isInterrupted)
        let isEmpty = conversation.system == nil && conversation.messages.isEmpty
        let used = try answerer.contextLength.map { context in
            let messages = conversation.promptMessages(omitting: omittedMessageCount)
            return "\(isEmpty ? 0 : try answerer.promptTokens(messages).count) of \(context)"
        }
        var facts = [
            ("messages", "\(conversation.messages.count)" + (interrupted > 0 ? " (\(interrupted) interrupted)" : "")),
            ("system message", conversation.system == nil ? "no" : "yes"),
            ("tokens", used ?? "known to the server only"),
        ]
        if omittedMessageCount > 0 { facts.append(("left out", "the oldest \(omittedMessageCount) messages")) }
        return facts.map { (name: $0.0, value: $0.1) }
    }

    private static func table(_ facts: [(name: String, value: String)]) -> String {
        let width = facts.map(\.name.count).max() ?? 0
        return facts.map { "  \($0.name)\(String(repeating: " ", count: width + 2 - $0.name.count))\($0.value)" }
            .joined(separator: "\n")
    }

    private func changeModel(_ name: String?) async throws {
        guard let name else { return try console.show(answerer.name) }
        console.notice("loading \(name)")
        let loadModel = loadModel
        let (result, wasInterrupted) = await InterruptMonitor.run { () async throws in try loadModel(name) }
        guard !wasInterrupted else { return console.notice("stopped; \(answerer.name) goes on") }
        answerer = try result.get()
        omittedMessageCount = 0
        console.notice(banner)
        if let templateNote { console.notice(templateNote) }
    }
}

// MARK: - What was said

extension ChatSession {
    private func clear() {
        let count = conversation.messages.count
        conversation.clear()
        forgetPrompt()
        console.notice(
            "\(Self.messages(count)) forgotten\(conversation.system == nil ? "" : ", not the system message")")
    }

    private func undo() throws {
        guard let question = conversation.undo() else { throw CommandFailure("there is no question to forget") }
        attempt = 0
        omittedMessageCount = min(omittedMessageCount, conversation.messages.count)
        let line = question.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        console.notice("forgotten: \(line.count > 60 ? line.prefix(59) + "…" : line[...])")
    }

    private func forgetPrompt() {
        omittedMessageCount = 0
        attempt = 0
    }

    private func save(_ path: String, isForced: Bool) throws {
        let path = TextFile.expanded(path)
        let replaces = TextFile.holdsSomething(path)
        guard !replaces || isForced || ownFiles.contains(Array(path.utf8)) else {
            throw CommandFailure("\(path) is there already", hint: "/save --force \(path) replaces it")
        }
        let file = ChatFile(conversation: conversation, settings: settings, model: answerer.name)
        try TextFile.write(file.text, to: path)
        ownFiles.insert(Array(path.utf8))
        let count = Self.messages(conversation.promptMessages().count)
        console.notice("\(count) saved in \(path)\(replaces ? ", whose old content is replaced" : "")")
    }

    private func load(_ path: String) throws {
        let path = TextFile.expanded(path)
        let text = try TextFile.read(path)
        let file: ChatFile
        var settings = settings
        var unknown: [String] = []
        do throws(CommandFailure) {
            file = try ChatFile(parsing: text)
            if let values = file.settings { unknown = try settings.apply(values) }
        } catch {
            throw CommandFailure("\(path): \(error.message)", hint: error.hint)
        }
        let replaced = conversation.messages.count
        conversation = file.conversation
        self.settings = settings
        forgetPrompt()
        ownFiles.insert(Array(path.utf8))
        if !unknown.isEmpty { console.notice("settings unknown here: \(unknown.joined(separator: ", "))") }
        let count = Self.messages(conversation.promptMessages().count)
        console.notice(
            "\(count) loaded from \(path)\(replaced > 0 ? ", in the place of \(Self.messages(replaced))" : "")")
    }

    private static func messages(_ count: Int) -> String { count == 1 ? "1 message" : "\(count) messages" }
}
