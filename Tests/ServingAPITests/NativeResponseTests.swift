import HTTPServing
import ServingAPI
import ServingEngine
import ServingJSON
import Testing

@Suite("LoRAX answers") struct NativeResponseTests {
    private func parameters(_ fields: String = "") throws -> NativeParameters {
        try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#)).parameters
    }
    private let events: [GenerationEvent] = [
        Events.started, Events.token(1, "one"), Events.token(2, " two"), Events.token(0, "", isLast: true),
        Events.finished(.stop(0), 3),
    ]

    @Test("Without details an answer is its text")
    func plain() throws {
        let answer = try NativeResponse(parameters(), prompt: "hi", texts: WordTexts()).json(output(events))
        #expect(text(answer.bytes) == #"{"generated_text":"one two"}"#)
        let full = try NativeResponse(parameters(#""return_full_text":true"#), prompt: "hi", texts: WordTexts())
            .json(output(events))
        #expect(text(full.bytes) == #"{"generated_text":"hione two"}"#)
    }

    @Test("Details tell each token, special ones spelled out, and the seed only where it had a part")
    func details() throws {
        let answer = try NativeResponse(parameters(#""details":true"#), prompt: "hi", texts: WordTexts())
            .json(output(events))
        let expected =
            #"{"generated_text":"one two","details":{"finish_reason":"eos_token","prompt_tokens":3,"#
            + #""generated_tokens":3,"skipped_tokens":0,"seed":null,"prefill":[],"tokens":["#
            + #"{"id":1,"text":"one","logprob":-0.5,"special":false,"skipped":false},"#
            + #"{"id":2,"text":" two","logprob":-0.5,"special":false,"skipped":false},"#
            + #"{"id":0,"text":"</s>","logprob":-0.5,"special":true,"skipped":false}]}}"#
        #expect(text(answer.bytes) == expected)
        let sampled = try NativeResponse(
            parameters(#""details":true,"temperature":0.5"#), prompt: "hi", texts: WordTexts()
        ).json(output(events))
        #expect(text(sampled.bytes).contains(#""seed":7"#))
    }

    @Test("A stream is one event a token; the last has the text and its details, and there is no [DONE]")
    func stream() throws {
        var stream = try NativeResponse(parameters(#""details":true"#), prompt: "hi", texts: WordTexts()).stream()
        let bytes = try events.flatMap { try stream.bytes($0) }
        let expected =
            #"data:{"token":{"id":1,"text":"one","logprob":-0.5,"special":false,"skipped":false},"#
            + #""generated_text":null,"details":null}"# + "\n\n"
            + #"data:{"token":{"id":2,"text":" two","logprob":-0.5,"special":false,"skipped":false},"#
            + #""generated_text":null,"details":null}"# + "\n\n"
            + #"data:{"token":{"id":0,"text":"</s>","logprob":-0.5,"special":true,"skipped":false},"#
            + #""generated_text":"one two","details":{"finish_reason":"eos_token","prompt_tokens":3,"#
            + #""generated_tokens":3,"seed":null}}"# + "\n\n"
        #expect(text(bytes) == expected)
    }

    @Test("Text that the engine held back comes with the last token")
    func heldBack() throws {
        var stream = try NativeResponse(parameters(), prompt: "hi", texts: WordTexts()).stream()
        #expect(try stream.bytes(Events.token(1, "on", isLast: true)).isEmpty)
        let last = try text(stream.bytes(Events.finished(.length, 1, rest: "e")))
        #expect(last.contains(#""text":"one""#) && last.contains(#""generated_text":"one","details":null"#))
    }

    @Test("The best of several answers is the one with the likeliest tokens; the others follow")
    func bestOf() throws {
        let several = output([
            Events.started, Events.token(1, "one", isLast: true), Events.finished(.length, 1),
            Events.token(2, " two", isLast: true, sample: 1, logProbability: -0.1),
            Events.finished(.length, 1, sample: 1),
        ])
        let answer = try NativeResponse(
            parameters(#""details":true,"best_of":2,"do_sample":true"#), prompt: "hi", texts: WordTexts()
        )
        .json(several)
        let value = try json(text(answer.bytes))
        #expect(value["generated_text"]?.stringValue == " two")
        #expect(value["details"]?["best_of_sequences"]?[0]?["generated_text"]?.stringValue == "one")
    }

    @Test("An answer that was cut off is no answer")
    func incomplete() throws {
        let shape = try NativeResponse(parameters(), prompt: "hi", texts: WordTexts())
        #expect(
            failure { () throws(NativeError) in try shape.json(output([Events.started])) } == .incomplete)
        let failed = output([Events.token(1, "one"), Events.finished(.failed("no memory"), 1)])
        #expect(failure { () throws(NativeError) in try shape.json(failed) } == .generation("no memory"))
    }

    @Test("Errors have LoRAX's body and frame")
    func errors() {
        #expect(
            text(EventStream.frame(NativeError.overloaded))
                == #"data:{"error":"Model is overloaded","error_type":"overloaded"}"# + "\n\n")
        #expect(NativeError.overloaded.status == 429 && NativeError.generation("x").status == 424)
    }
}
