import NIOCore
import ServingJSON
import Testing

@testable import Gateway

@Suite("Events") struct EventFrameTests {
    @Test("Frames come out whole, however their bytes come in", arguments: [1, 2, 3, 7, 64, 1000])
    func splits(pieceSize: Int) throws {
        let frames = [
            "data: a\n\n", ": x\ndata: b\ndata: c\n\n", ":\n\n", "data: d\r\n\r\n", "data: {\"a\":\"\\n\"}\n\n",
        ]
        let bytes = Array(frames.joined().utf8)
        var splitter = EventFrameSplitter(limit: 100)
        var result: [String] = []
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            splitter.append(ByteBuffer(bytes: bytes[start..<min(start + pieceSize, bytes.count)]))
            while let frame = try splitter.next() { result.append(String(buffer: frame)) }
        }
        #expect(result == frames)
        splitter.append(ByteBuffer(string: "data: half"))
        let rest = try splitter.next()
        #expect(rest == nil)
    }

    @Test("A frame larger than the limit is an error, complete or not")
    func limits() throws {
        for text in ["data: 0123456789\n\n", "data: 0123456789"] {
            var splitter = EventFrameSplitter(limit: 10)
            splitter.append(ByteBuffer(string: text))
            #expect(throws: EventFrameSplitter.TooLarge(limit: 10)) { _ = try splitter.next() }
        }
    }

    private func parts(_ text: String) -> (comments: [String], payload: String, data: String?) {
        let bytes = Array(text.utf8)
        let frame = bytes.withUnsafeBytes { EventFrame($0) }
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        return (frame.comments.map(string), string(frame.payload), frame.data.map(string))
    }

    @Test(
        "A frame is comments for the gateway and the rest for the client",
        arguments: [
            (": a\n:b\ndata: c\n\n", ["a", "b"], "data: c\n\n", "c"),
            ("data:{}\n\n", [], "data:{}\n\n", "{}"),
            (":\n\n", [], "", nil),
            (": a\r\ndata: c\r\n\r\n", ["a"], "data: c\r\n\r\n", "c"),
            ("event: x\ndata: y\n\n", [], "event: x\ndata: y\n\n", nil),
            ("", [], "", nil), (":", [], "", nil), ("\n", [], "", nil),
        ] as [(String, [String], String, String?)])
    func separates(text: String, comments: [String], payload: String, data: String?) {
        let parts = parts(text)
        #expect(parts.comments == comments)
        #expect(parts.payload == payload)
        #expect(parts.data == data)
    }
}

@Suite("The journal of a stream") struct StreamJournalTests {
    /// A journal that takes frames as text.
    private final class Bench {
        var journal: StreamJournal

        init(_ form: GatewayEndpoint.Form) { journal = StreamJournal(form: form) }

        func add(_ text: String) -> StreamJournal.Meaning {
            let bytes = Array(text.utf8)
            return bytes.withUnsafeBytes { journal.add(EventFrame($0), $0) }
        }

        var resume: String? { journal.resume.map { String(decoding: $0.bytes, as: UTF8.self) } }
    }

    @Test("It knows the tokens of all choices, those of frames without text among them")
    func tokens() {
        let bench = Bench(.openAI)
        #expect(bench.resume == nil && bench.journal.canCarryOn)
        #expect(bench.add(": {\"choice\":1,\"tokens\":[]}\ndata: {\"id\":\"x\",\"created\":5}\n\n") == .content)
        #expect(bench.add(": {\"choice\":0,\"tokens\":[1,2]}\ndata: {\"id\":\"x\",\"created\":5}\n\n") == .content)
        #expect(bench.add(": {\"choice\":0,\"tokens\":[3]}\n\n") == .comment)
        #expect(bench.add(":\n\n") == .comment)
        #expect(bench.add(": {\"choice\":1,\"tokens\":[9],\"finished\":true}\ndata: {}\n\n") == .content)
        #expect(bench.journal.tokenCount == 4)
        #expect(
            bench.resume
                == #"{"id":"x","created":5,"choices":[{"choice":0,"tokens":[1,2,3],"finished":false},"#
                + #"{"choice":1,"tokens":[9],"finished":true}]}"#)
    }

    @Test("Frames behind the last token are passed on once")
    func tail() {
        let bench = Bench(.openAI)
        #expect(bench.add(": {\"choice\":0,\"tokens\":[1],\"finished\":true}\ndata: {}\n\n") == .content)
        #expect(bench.add("data: {\"usage\":1}\n\n") == .content)
        bench.journal.changeReplica()
        #expect(bench.add("data: {\"usage\":1}\n\n") == .repeated)
        #expect(!bench.journal.mayEnd)
        #expect(bench.add(": {\"timing\":{\"queue_ms\":1.5,\"prompt_tokens\":3}}\ndata: [DONE]\n\n") == .end)
        #expect(
            bench.journal.mayEnd && bench.journal.timing?.queueMilliseconds == 1.5
                && bench.journal.timing?.promptTokenCount == 3)
    }

    @Test("A native stream is over when its answer is finished")
    func native() {
        let bench = Bench(.native)
        #expect(bench.add(": {\"choice\":0,\"tokens\":[1]}\ndata:{}\n\n") == .content)
        #expect(bench.add(": {\"choice\":0,\"tokens\":[2],\"finished\":true}\ndata:{}\n\n") == .end)
    }

    @Test("An error ends a stream; that a replica shuts down does not")
    func errors() {
        let bench = Bench(.openAI)
        #expect(bench.add("data: {\"error\":{\"code\":\"shutting_down\"}}\n\n") == .handOver)
        #expect(bench.add("data:{\"error\":\"x\",\"error_type\":\"shutting_down\"}\n\n") == .handOver)
        #expect(bench.add("data:{\"error\":\"x\",\"error_type\":\"overloaded\"}\n\n") == .full)
        #expect(!bench.journal.hasFailed)
        #expect(bench.add("data: {\"error\":{\"message\":\"no\"}}\n\n") == .end)
        #expect(bench.journal.hasFailed)
    }

    @Test("A stream of a replica that tells no tokens can't be carried on, and ends where its bytes end")
    func tellsNothing() {
        let bench = Bench(.openAI)
        #expect(!bench.journal.mayEnd)
        #expect(bench.add("data: {}\n\n") == .content)
        #expect(!bench.journal.canCarryOn && bench.journal.mayEnd)
    }

    @Test("Comments that are no JSON, or say other things, are nothing")
    func otherComments() {
        let bench = Bench(.openAI)
        for comment in ["{", "[1]", "{\"choice\":\"a\"}", "{\"timing\":5}", "hello"] {
            #expect(bench.add(": \(comment)\n\n") == .comment)
        }
        #expect(bench.journal.tokenCount == 0 && bench.journal.timing == nil)
    }
}
