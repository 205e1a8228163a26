import ServingJSON

/// A stream as a gateway reads it: events with the comments in front of them.
struct AnnotatedStream {
    /// One event.
    struct Frame: Equatable {
        /// What the client gets; empty where a comment stands alone.
        var bytes: String
        var comments: [JSONValue]

        var choice: Int? { comments.compactMap { $0["choice"]?.intValue }.first }
    }

    var frames: [Frame]

    init(_ text: String) throws {
        frames = try text.split(separator: "\n\n", omittingEmptySubsequences: true).map { part in
            var frame = Frame(bytes: "", comments: [])
            for line in part.split(separator: "\n") {
                if line.hasPrefix(": ") {
                    frame.comments.append(try JSONValue(parsing: String(line.dropFirst(2))))
                } else {
                    frame.bytes += line + "\n"
                }
            }
            if !frame.bytes.isEmpty { frame.bytes += "\n" }
            return frame
        }
    }

    /// What the client gets.
    var clientText: String { frames.map(\.bytes).joined() }
}

/// What a gateway knows of an answer after the first frames of its streams.
struct CarriedAnswer {
    private struct Choice {
        var tokens: [JSONValue] = []
        var isFinished = false
    }

    private var choices: [Int: Choice] = [:]
    /// Events that belong to no choice: the usage and the end, which each replica sends again.
    private var tailCount = 0
    private var id: JSONValue = .null
    private var created: JSONValue = .null
    private(set) var frames: [AnnotatedStream.Frame] = []

    init() {}

    /// Nothing yet, of an answer with the id and time of another.
    init(likeThatOf other: CarriedAnswer) { (id, created) = (other.id, other.created) }

    mutating func add(_ new: some Sequence<AnnotatedStream.Frame>) throws {
        var repeated = tailCount
        for frame in new {
            if frame.choice == nil {
                repeated -= 1
                if repeated >= 0 { continue }
                tailCount += 1
            }
            frames.append(frame)
            for comment in frame.comments {
                guard let index = comment["choice"]?.intValue else { continue }
                choices[index, default: Choice()].tokens += comment["tokens"]?.arrayValue ?? []
                if comment["finished"] == true { choices[index]?.isFinished = true }
            }
            guard frame.bytes.hasPrefix("data: {") else { continue }
            let body = try JSONValue(parsing: String(frame.bytes.dropFirst(6)))
            if let value = body["id"] { id = value }
            if let value = body["created"] { created = value }
        }
    }

    /// The member `pbctl` of the request that carries the answer on.
    func fields(seed: Int) -> String {
        let told = choices.sorted { $0.key < $1.key }.map { index, choice in
            let tokens = JSONValue.array(choice.tokens).text()
            return #"{"choice":\#(index),"tokens":\#(tokens),"finished":\#(choice.isFinished)}"#
        }
        return #"{"seed":\#(seed),"resume":{"id":\#(id.text()),"created":\#(created.text()),"#
            + #""choices":[\#(told.joined(separator: ","))]}}"#
    }

    /// What the client got, by choice, and apart what belongs to none: choices that run together have no order.
    var clientTexts: [Int: String] {
        frames.reduce(into: [:]) { texts, frame in
            if !frame.bytes.isEmpty { texts[frame.choice ?? -1, default: ""] += frame.bytes }
        }
    }
}
