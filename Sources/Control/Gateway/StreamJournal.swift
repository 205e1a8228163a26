import ServingJSON

/// What the client of a stream has got so far, in tokens: enough for another replica to carry the stream on.
///
/// Fed by ``StreamRelay`` with each frame before the frame is passed on; only frames that came whole are told.
struct StreamJournal: Sendable {
    /// One answer of the stream.
    struct Choice: Sendable, Equatable {
        var tokens: [Int64] = []
        var isFinished = false
    }

    /// What the replica told of its time at the end.
    struct Timing: Sendable, Equatable {
        var queueMilliseconds = 0.0
        var inferenceMilliseconds = 0.0
        var promptTokenCount = 0
        var generatedTokenCount = 0
    }

    /// What a frame means for the stream.
    enum Meaning: Sendable, Equatable {
        /// Pass it on.
        case content
        /// Pass it on; the stream is over after it.
        case end
        /// The client has it already.
        case repeated
        /// The replica takes nothing more; another must carry on.
        case handOver
        /// The replica did not take the request, as it has enough.
        case full
        /// Nothing for the client.
        case comment
    }

    private(set) var choices: [Int: Choice] = [:]
    private(set) var timing: Timing?
    /// Tokens of all choices.
    private(set) var tokenCount = 0
    /// Frames passed on.
    private(set) var frameCount = 0
    /// Whether the last frame was passed on.
    private(set) var isOver = false
    /// Whether that was an error of the replica's.
    private(set) var hasFailed = false
    private let form: GatewayEndpoint.Form
    private var id: String?
    private var created: Int64?
    /// Frames passed on that belong to no choice (usage), and how many of them the replica at hand has sent.
    private var tailCount = 0
    private var tailOfReplica = 0
    /// Frames passed on of the replica at hand.
    private var frameCountOfReplica = 0
    /// Whether a replica told tokens; one that does not can't be carried on.
    private var tellsTokens = false

    init(form: GatewayEndpoint.Form) { self.form = form }

    /// Whether another replica can go on: nothing was passed on, or all of it is known in tokens.
    var canCarryOn: Bool { frameCount == 0 || tellsTokens }

    /// Whether a stream whose bytes end properly is over; a replica that tells tokens says so before.
    var mayEnd: Bool { isOver || frameCount > 0 && !tellsTokens }

    /// Another replica begins where the last one stopped.
    mutating func changeReplica() {
        tailOfReplica = 0
        frameCountOfReplica = 0
    }

    /// Takes a frame.
    mutating func add(_ frame: EventFrame, _ bytes: UnsafeRawBufferPointer) -> Meaning {
        var isOfChoice = false
        var entries: [Entry] = []
        for range in frame.comments {
            guard let comment = try? JSONValue(parsing: UnsafeRawBufferPointer(rebasing: bytes[range])) else {
                continue
            }
            if let entry = Entry(comment) {
                isOfChoice = true
                entries.append(entry)
            } else if let timing = Timing(comment) {
                self.timing = timing
            }
        }
        guard let data = frame.data else {
            take(entries)
            guard !frame.payload.isEmpty else { return .comment }
            frameCount += 1
            frameCountOfReplica += 1
            return .content
        }
        let text = UnsafeRawBufferPointer(rebasing: bytes[data])
        let meaning = meaning(of: text, isOfChoice: isOfChoice)
        guard meaning == .content || meaning == .end else { return meaning }
        take(entries)
        frameCount += 1
        frameCountOfReplica += 1
        if form == .native, !choices.isEmpty, choices.values.allSatisfy(\.isFinished) { isOver = true }
        if meaning == .end { isOver = true }
        if form == .openAI, id == nil, meaning == .content { identify(text) }
        return isOver ? .end : meaning
    }

    private mutating func meaning(of text: UnsafeRawBufferPointer, isOfChoice: Bool) -> Meaning {
        if text.starts(with: "{\"error\"".utf8) {
            let code = Self.errorCode(text)
            if code == "shutting_down" { return .handOver }
            if code == "overloaded", frameCountOfReplica == 0 { return .full }
            hasFailed = true
            return .end
        }
        if isOfChoice { return .content }
        let isDone = form == .openAI && text.elementsEqual("[DONE]".utf8)
        guard tellsTokens, form == .openAI else { return isDone ? .end : .content }
        tailOfReplica += 1
        if tailOfReplica <= tailCount { return .repeated }
        tailCount += 1
        return isDone ? .end : .content
    }

    /// What kind of error it is, in the words of either kind of routes.
    private static func errorCode(_ text: UnsafeRawBufferPointer) -> String? {
        guard let value = try? JSONValue(parsing: text) else { return nil }
        return value["error_type"]?.stringValue ?? value["error"]?["code"]?.stringValue
    }

    private mutating func take(_ entries: [Entry]) {
        for entry in entries {
            tellsTokens = true
            tokenCount += entry.tokens.count
            choices[entry.choice, default: Choice()].tokens += entry.tokens
            if entry.isFinished { choices[entry.choice]?.isFinished = true }
        }
    }

    private mutating func identify(_ text: UnsafeRawBufferPointer) {
        guard let value = try? JSONValue(parsing: text) else { return }
        id = value["id"]?.stringValue
        if case .integer(let number)? = value["created"] { created = number }
    }

    /// The value of `resume` in the body's `pbctl`, for the replica that carries on; nil where it may as well begin
    /// anew.
    var resume: JSONBytes? {
        guard frameCount > 0 || tokenCount > 0 else { return nil }
        var json = JSONBytes(capacity: 64 + tokenCount * 7)
        json.openObject()
        if let id { json.member("id", id) }
        if let created { json.member("created", created) }
        json.key("choices")
        json.openArray()
        for (index, choice) in choices.sorted(by: { $0.key < $1.key }) {
            json.openObject()
            json.member("choice", index)
            json.key("tokens")
            json.openArray()
            for token in choice.tokens { json.integer(token) }
            json.closeArray()
            json.member("finished", choice.isFinished)
            json.closeObject()
        }
        json.closeArray()
        json.closeObject()
        return json
    }

    /// `{"choice":K,"tokens":[..],"finished":true}`
    private struct Entry {
        var choice: Int
        var tokens: [Int64]
        var isFinished: Bool

        init?(_ comment: JSONValue) {
            guard let choice = comment["choice"]?.intValue else { return nil }
            self.choice = choice
            tokens = (comment["tokens"]?.arrayValue ?? []).compactMap { $0.intValue.map(Int64.init) }
            isFinished = comment["finished"]?.boolValue ?? false
        }
    }
}

extension StreamJournal.Timing {
    /// `{"timing":{..}}`; nil where the comment is another.
    init?(_ comment: JSONValue) {
        guard let timing = comment["timing"], timing.objectValue != nil else { return nil }
        queueMilliseconds = timing["queue_ms"]?.doubleValue ?? 0
        inferenceMilliseconds = timing["inference_ms"]?.doubleValue ?? 0
        promptTokenCount = timing["prompt_tokens"]?.intValue ?? 0
        generatedTokenCount = timing["generated_tokens"]?.intValue ?? 0
    }
}
