import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import ServingEngine
import ServingJSON
import Testing

@testable import ReplicaServer

/// A request to stream, as JSON without its closing brace.
struct StreamCase: Sendable, CustomTestStringConvertible {
    var path: String
    var body: String
    /// Characters of the answer that become a stop string.
    var stop: Range<Int>?

    var testDescription: String { "\(path) \(body)" }

    private static func native(_ parameters: String, stop: Range<Int>? = nil) -> StreamCase {
        StreamCase(
            path: "/generate_stream", body: #"{"inputs":"Hello","parameters":{"max_new_tokens":14,\#(parameters)"#,
            stop: stop)
    }
    private static func completion(_ fields: String, stop: Range<Int>? = nil) -> StreamCase {
        StreamCase(path: "/v1/completions", body: #"{"stream":true,"max_tokens":14,\#(fields)"#, stop: stop)
    }
    private static func chat(_ fields: String, stop: Range<Int>? = nil) -> StreamCase {
        StreamCase(
            path: "/v1/chat/completions",
            body: #"{"messages":[{"role":"user","content":"Hi"}],"stream":true,"max_tokens":14,\#(fields)"#, stop: stop)
    }

    static let all: [StreamCase] = [
        native(#""details":true"#), native(#""details":true,"return_full_text":true,"do_sample":true,"seed":12"#),
        native(#""do_sample":true,"temperature":1.5,"return_k_alternatives":2,"ignore_eos_token":true"#),
        native(#""do_sample":true,"seed":3,"details":true"#, stop: 4..<7),
        native(#""do_sample":true,"seed":4,"ignore_eos_token":true,"repetition_penalty":1.3"#),
        completion(#""prompt":"Hello","temperature":0,"stream_options":{"include_usage":true}"#),
        completion(#""prompt":"Hello","seed":1,"n":2,"stream_options":{"include_usage":true}"#),
        completion(#""prompt":["ab","cd"],"seed":2,"frequency_penalty":0.7"#),
        completion(#""prompt":[[20,21],[22]],"n":2,"temperature":1.4,"stream_options":{"include_usage":true}"#),
        completion(#""prompt":"xy","echo":true,"logprobs":2,"seed":5,"stream_options":{"include_usage":true}"#),
        completion(#""prompt":"xy","logprobs":1,"seed":6,"ignore_eos":true"#, stop: 5..<8),
        completion(#""prompt":"xyz","seed":8"#, stop: 3..<5),
        chat(#""temperature":0"#), chat(#""n":2,"seed":9,"stream_options":{"include_usage":true}"#),
        chat(#""seed":10,"logprobs":true,"top_logprobs":2,"stream_options":{"include_usage":true}"#),
        chat(#""seed":11,"presence_penalty":0.5,"ignore_eos":true"#, stop: 4..<7),
        chat(#""temperature":1.8,"logprobs":true,"n":3,"ignore_eos":true"#, stop: 2..<4),
    ]

    /// The whole body; native requests have their parameters in an object of their own.
    func json(stop: String? = nil, pbctl: String? = nil) -> String {
        var text = body
        // A stop string that never comes, too, so that text is held back to the end.
        if let stop { text += #","stop":[\#(JSONValue.string(stop).text()),\#(JSONValue.string(stop + "?").text())]"# }
        if path == "/generate_stream" { text += "}" }
        if let pbctl { text += #","pbctl":\#(pbctl)"# }
        return text + "}"
    }
}

@Suite("Answers that are carried on", .timeLimit(.minutes(10))) struct ResumeTests {
    private static let folder =
        URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/Fixtures/models/llama"

    /// A replica without a prefix cache, so that what it did before leaves no trace in the usage.
    private func replica(_ body: @Sendable @escaping (any TestClientProtocol) async throws -> Void) async throws {
        let model = try TinyModel(folder: Self.folder)
        let application = Application(
            responder: ReplicaResponder(model: model, configuration: ReplicaConfiguration()))
        try await application.test(.router) { client in try await body(client) }
        await model.engine.shutDown()
    }

    private func stream(_ client: any TestClientProtocol, _ path: String, _ body: String) async throws -> String {
        try await client.execute(
            uri: path, method: .post, headers: [.contentType: "application/json", .pbctlGateway: "1"],
            body: ByteBuffer(string: body)
        ) { response in
            let text = String(buffer: response.body)
            #expect(response.status == .ok, "\(text)")
            return text
        }
    }

    /// The text of the first choice.
    private func text(_ stream: AnnotatedStream) throws -> String {
        try stream.frames.filter { ($0.choice ?? 0) == 0 && $0.bytes.hasPrefix("data:") }.map { frame in
            guard let start = frame.bytes.firstIndex(of: "{") else { return "" }
            let body = try JSONValue(parsing: String(frame.bytes[start...]))
            let choice = body["choices"]?[0]
            return (body["token"]?["text"] ?? choice?["text"] ?? choice?["delta"]?["content"])?.stringValue ?? ""
        }.joined()
    }

    /// The case with its stop string, and the stream that nobody interrupts.
    private func undisturbed(
        _ client: any TestClientProtocol, _ test: StreamCase
    ) async throws -> (stop: String?, AnnotatedStream) {
        let free = try AnnotatedStream(await stream(client, test.path, test.json(pbctl: #"{"seed":77}"#)))
        guard let range = test.stop else { return (nil, free) }
        let stop = String(try text(free).dropFirst(range.lowerBound).prefix(range.count))
        try #require(!stop.isEmpty)
        return (
            stop, try AnnotatedStream(await stream(client, test.path, test.json(stop: stop, pbctl: #"{"seed":77}"#)))
        )
    }

    @Test("A stream that is cut after any of its frames goes on as if nothing had happened", arguments: StreamCase.all)
    func cutAnywhere(test: StreamCase) async throws {
        try await replica { client in
            let (stop, whole) = try await undisturbed(client, test)
            var expected = CarriedAnswer()
            try expected.add(whole.frames)
            #expect(whole.frames.count > 3)
            #expect(whole.frames.contains { $0.comments.contains { $0["timing"] != nil } })
            for cut in 0..<whole.frames.count {
                var carried = CarriedAnswer(likeThatOf: expected)
                try carried.add(whole.frames.prefix(cut))
                let body = test.json(stop: stop, pbctl: carried.fields(seed: 77))
                try carried.add(AnnotatedStream(await stream(client, test.path, body)).frames)
                #expect(carried.clientTexts == expected.clientTexts, "cut after \(cut) of \(whole.frames.count) frames")
            }
            // Everything is there but the end of the stream, which only OpenAI's has.
            let body = test.json(stop: stop, pbctl: expected.fields(seed: 77))
            let rest = try AnnotatedStream(await stream(client, test.path, body))
            #expect(rest.clientText == expected.clientTexts[-1, default: ""])
        }
    }

    @Test("A stream that is cut twice goes on twice", arguments: StreamCase.all)
    func cutTwice(test: StreamCase) async throws {
        try await replica { client in
            let (stop, whole) = try await undisturbed(client, test)
            var random = SeededNumbers(state: UInt64(test.body.utf8.count))
            var expected = CarriedAnswer()
            try expected.add(whole.frames)
            for _ in 0..<6 {
                var carried = CarriedAnswer(likeThatOf: expected)
                try carried.add(whole.frames.prefix(Int.random(in: 0..<whole.frames.count, using: &random)))
                for isLast in [false, true] {
                    let body = test.json(stop: stop, pbctl: carried.fields(seed: 77))
                    let rest = try AnnotatedStream(await stream(client, test.path, body))
                    let count = isLast ? rest.frames.count : Int.random(in: 0..<rest.frames.count, using: &random)
                    try carried.add(rest.frames.prefix(count))
                }
                #expect(carried.clientTexts == expected.clientTexts)
            }
        }
    }

    @Test("Without the header, comments are left out and the gateway's fields mean nothing", arguments: StreamCase.all)
    func clientsSeeNoComments(test: StreamCase) async throws {
        try await replica { client in
            let (stop, whole) = try await undisturbed(client, test)
            // The seed that the engine chooses is not the gateway's.
            guard test.body.contains("seed") || test.body.contains(#""temperature":0"#) else { return }
            var expected = CarriedAnswer()
            try expected.add(whole.frames)
            let body = test.json(stop: stop, pbctl: expected.fields(seed: 78))
            let plain = try await client.execute(
                uri: test.path, method: .post, headers: [.contentType: "application/json"],
                body: ByteBuffer(string: body)
            ) { String(buffer: $0.body) }
            #expect(!plain.contains("\n: ") && !plain.hasPrefix(": "))
            let texts = try text(AnnotatedStream(plain))
            let expectedText = try self.text(whole)
            #expect(texts == expectedText || plain.contains(#""index":1"#))
        }
    }

    @Test(
        "Fields of a gateway that can't be are told",
        arguments: [
            (#"{"resume":{"choices":[{"choice":1,"tokens":[]}]}}"#, "choice 1"),
            (#"{"resume":{"choices":[{"choice":0,"tokens":[]},{"choice":0,"tokens":[]}]}}"#, "twice"),
            (#"{"resume":{"choices":[{"choice":0,"tokens":["a"]}]}}"#, "invalid type"),
            (#"{"resume":{"choices":[{"tokens":[1]}]}}"#, "missing field `choice`"),
            (#"{"resume":{"choices":[{"choice":0,"tokens":[4000]}]}}"#, "token ids"),
            (#"{"seed":-1}"#, "invalid value"), (#"5"#, "invalid type"),
        ])
    func malformedFields(fields: String, expected: String) async throws {
        try await replica { client in
            let body = #"{"prompt":"a","stream":true,"pbctl":\#(fields)}"#
            try await client.execute(
                uri: "/v1/completions", method: .post, headers: [.contentType: "application/json", .pbctlGateway: "1"],
                body: ByteBuffer(string: body)
            ) { response in
                #expect(response.status == .badRequest)
                #expect(String(buffer: response.body).contains(expected), "\(String(buffer: response.body))")
            }
        }
    }
}

/// A generator whose numbers are the same in every run.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
