package import HTTPServing
package import ServingEngine
package import ServingJSON
package import ServingTensors

/// One server-sent event of a streamed answer, and how far the answer is with it.
///
/// A gateway that carries the answer on elsewhere, when this replica goes, reads that from a comment in front of each
/// event: `: {"choice":K,"tokens":[IDS]}`, with `"finished":true` at a choice's last one.
package struct StreamFrame: Sendable, Equatable {
    /// The event; empty where a token makes none by itself.
    package var bytes: [UInt8]
    /// Flat index of the choice; nil for events that belong to no choice.
    package var choice: Int?
    /// The tokens that are told of with this event.
    package var tokens: [TokenID]
    /// Whether it is the choice's last one.
    package var isFinished: Bool

    /// An event.
    package init(_ bytes: [UInt8], choice: Int? = nil, tokens: [TokenID] = [], isFinished: Bool = false) {
        self.bytes = bytes
        self.choice = choice
        self.tokens = tokens
        self.isFinished = isFinished
    }

    /// The event with its comment in front, and with `more` as a second comment.
    package func annotated(_ more: JSONBytes? = nil) -> [UInt8] {
        var json = JSONBytes(capacity: bytes.count + 64)
        if let choice {
            json.frame(": ")
            write(choice, &json)
            json.frame("\n")
        }
        if let more {
            json.frame(": ")
            json.raw(more.bytes)
            json.frame("\n")
        }
        if bytes.isEmpty { json.frame("\n") }
        return json.bytes + bytes
    }

    private func write(_ choice: Int, _ json: inout JSONBytes) {
        json.openObject()
        json.member("choice", choice)
        json.key("tokens")
        json.openArray()
        for token in tokens { json.integer(token) }
        json.closeArray()
        if isFinished { json.member("finished", true) }
        json.closeObject()
    }
}

/// Turns the events of a request into server-sent events.
package protocol EventShaping: Sendable {
    /// The frames to send for an event of a prompt.
    ///
    /// - Throws: an error that belongs into the stream, which ends with it.
    mutating func frames(_ event: GenerationEvent, promptIndex: Int) throws(OpenAIError) -> [StreamFrame]
    /// The last frames.
    func endFrames() -> [StreamFrame]
}

extension EventShaping {
    /// The bytes of the frames for an event; empty where there are none.
    package mutating func bytes(_ event: GenerationEvent, promptIndex: Int = 0) throws(OpenAIError) -> [UInt8] {
        try frames(event, promptIndex: promptIndex).flatMap(\.bytes)
    }

    /// The bytes of the last frames.
    package func end() -> [UInt8] { endFrames().flatMap(\.bytes) }
}
