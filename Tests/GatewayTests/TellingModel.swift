import NIOHTTP1
import ServingJSON

/// A model whose tokens follow from prompt, seed and position, so that it can be carried on by any replica and every
/// byte of an answer is known. Speaks to the gateway as replicas do.
struct TellingModel: Sendable {
    /// Name that answers give; what the request asks for, if anything.
    var name = "base-model"
    var tokenCount = 12

    /// A frame: the comment for the gateway and the bytes for the client.
    struct Frame {
        var comments: [String]
        var payload: String

        var bytes: String { comments.map { ": \($0)\n" }.joined() + (payload.isEmpty ? "\n" : payload) }
    }

    /// A stream's steps, broken off after `limit` bytes if that is less than all.
    func steps(_ request: ReceivedRequest, dyingAfter limit: Int? = nil) -> [ReplicaStep] {
        let text = frames(request).map(\.bytes).joined()
        guard let limit, limit < text.utf8.count else { return [.eventStream, .bytes(text), .end] }
        return [.eventStream, .bytes(String(decoding: text.utf8.prefix(limit), as: UTF8.self)), .die]
    }

    func frames(_ request: ReceivedRequest) -> [Frame] {
        request.path.hasPrefix("/v1") ? openAIFrames(request) : nativeFrames(request)
    }

    func token(_ prompt: String, _ seed: Int, _ choice: Int, _ position: Int) -> Int {
        var state = UInt64(truncatingIfNeeded: seed) &+ UInt64(choice * 1_000_003 + position * 97)
        for byte in prompt.utf8 { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return Int((state >> 20) % 1000)
    }

    /// The text of a token's frame. Every fifth token is held back and comes with the next one.
    private func text(_ position: Int, _ token: (Int) -> Int) -> String? {
        if position % 5 == 3, position + 1 < tokenCount { return nil }
        return (position > 0 && (position - 1) % 5 == 3 ? "t\(token(position - 1)) " : "") + "t\(token(position)) "
    }

    // MARK: OpenAI

    private func openAIFrames(_ request: ReceivedRequest) -> [Frame] {
        let json = request.json
        let prompt = json["prompt"]?.stringValue ?? json["messages"]?.text() ?? ""
        let resume = request.pbctl["resume"]
        let id = resume?["id"]?.stringValue ?? "id-\(prompt.utf8.count)"
        let model = json["model"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? name
        func chunk(_ choices: String) -> String {
            #"data: {"id":"\#(id)","created":7,"model":"\#(model)","choices":[\#(choices)]}"# + "\n\n"
        }
        var frames: [Frame] = []
        for work in pending(request, prompt, choiceCount: json["n"]?.intValue ?? 1) {
            switch work {
            case .role(let choice):
                let comment = #"{"choice":\#(choice),"tokens":[]}"#
                frames.append(
                    Frame(comments: [comment], payload: chunk(#"{"index":\#(choice),"delta":{"role":"assistant"}}"#)))
            case .token(let choice, let token, let text):
                let comment = #"{"choice":\#(choice),"tokens":[\#(token)]}"#
                let payload = text.map { chunk(#"{"index":\#(choice),"delta":{"content":"\#($0)"}}"#) } ?? ""
                frames.append(Frame(comments: [comment], payload: payload))
            case .finish(let choice):
                let comment = #"{"choice":\#(choice),"tokens":[],"finished":true}"#
                frames.append(
                    Frame(comments: [comment], payload: chunk(#"{"index":\#(choice),"finish_reason":"length"}"#)))
            case .invalid:
                return [Frame(comments: [], payload: "data: {\"error\":{\"message\":\"bad resume\"}}\n\n")]
            }
        }
        if json["stream_options"]?["include_usage"]?.boolValue ?? false {
            frames.append(
                Frame(comments: [], payload: chunk("").replacing("}\n\n", with: #","usage":{"n":1}}"# + "\n\n")))
        }
        let timing = #"{"timing":{"queue_ms":2,"inference_ms":30,"prompt_tokens":5,"generated_tokens":\#(tokenCount)}}"#
        frames.append(Frame(comments: [timing], payload: "data: [DONE]\n\n"))
        return frames
    }

    // MARK: LoRAX

    private func nativeFrames(_ request: ReceivedRequest) -> [Frame] {
        let prompt = request.json["inputs"]?.stringValue ?? ""
        var frames: [Frame] = []
        var last = ""
        for work in pending(request, prompt, choiceCount: 1) {
            switch work {
            case .role: break
            case .token(_, let token, let text):
                last = #"data:{"token":{"id":\#(token),"text":"\#(text ?? "")"},"#
                frames.append(
                    Frame(
                        comments: [#"{"choice":0,"tokens":[\#(token)]}"#],
                        payload: last + "\"generated_text\":null}\n\n"))
            case .finish:
                let comment = #"{"choice":0,"tokens":[],"finished":true}"#
                frames.append(Frame(comments: [comment], payload: "data:{\"generated_text\":\"all\"}\n\n"))
            case .invalid: return [Frame(comments: [], payload: "data:{\"error\":\"bad\",\"error_type\":\"x\"}\n\n")]
            }
        }
        return frames
    }

    // MARK: What is to be done

    private enum Work {
        case role(Int)
        case token(Int, Int, String?)
        case finish(Int)
        /// What the client has can't come from this model.
        case invalid
    }

    private func pending(_ request: ReceivedRequest, _ prompt: String, choiceCount: Int) -> [Work] {
        let seed = request.pbctl["seed"]?.intValue ?? -1
        var result: [Work] = []
        var starts = [Int](repeating: 0, count: choiceCount)
        var listed = Set<Int>()
        var finished = Set<Int>()
        for entry in request.pbctl["resume"]?["choices"]?.arrayValue ?? [] {
            guard let choice = entry["choice"]?.intValue, starts.indices.contains(choice),
                let tokens = entry["tokens"]?.arrayValue?.compactMap(\.intValue), tokens.count <= tokenCount,
                tokens == tokens.indices.map({ token(prompt, seed, choice, $0) })
            else { return [.invalid] }
            starts[choice] = tokens.count
            listed.insert(choice)
            if entry["finished"]?.boolValue ?? false { finished.insert(choice) }
        }
        for choice in 0..<choiceCount where !listed.contains(choice) { result.append(.role(choice)) }
        for position in 0..<tokenCount {
            for choice in 0..<choiceCount where position >= starts[choice] {
                let text = text(position) { token(prompt, seed, choice, $0) }
                result.append(.token(choice, token(prompt, seed, choice, position), text))
            }
        }
        for choice in 0..<choiceCount where !finished.contains(choice) { result.append(.finish(choice)) }
        return result
    }

    // MARK: What the client should get

    /// The answer of an undisturbed run of the request that a replica got first, with the model that the client asked
    /// for.
    func expected(_ first: ReceivedRequest, model: String?) -> String {
        frames(first).map(\.payload).joined().replacing(
            "\"model\":\"\(first.json["model"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? name)\"",
            with: "\"model\":\"\(model ?? name)\"")
    }
}
