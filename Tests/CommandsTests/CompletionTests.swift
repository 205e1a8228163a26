import ControlClient
import ServingEngine
import ServingJSON
import Testing

@testable import Commands

@Suite struct CompletionTests {
    private func received(_ frames: [StreamFrame]) throws -> (CompletionCall.Result, [String]) {
        var reception = CompletionReception(name: "demo")
        var pieces: [String] = []
        for frame in frames { pieces += try reception.take(frame).map { "\($0.0)\($0.1)" } }
        return (try reception.finish(), pieces)
    }

    @Test func aStreamBecomesChoicesUsageAndPieces() throws {
        let (result, pieces) = try received([
            .comment("{\"waiting\":{\"status\":\"standby\",\"message\":\"loading\",\"position\":2}}"), .comment("odd"),
            .data("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}"),
            .data("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}"),
            .data("{\"choices\":[{\"index\":1,\"text\":\"x\",\"logprobs\":{\"a\":1},\"finish_reason\":\"stop\"}]}"),
            .data("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"length\"}]}"),
            .data("{\"choices\":[],\"usage\":{\"completion_tokens\":3}}"), .data("[DONE]"),
        ])
        #expect(pieces == ["0Hel", "1x", "0lo"])
        #expect(result.choices.map(\.text) == ["Hello", "x"])
        #expect(result.choices.map(\.finishReason) == ["length", "stop"])
        #expect(result.usage?["completion_tokens"] == 3 && result.choices[1].logprobs == [["a": 1]])
    }

    @Test func anAnswerWithoutAStreamIsTakenToo() throws {
        let (result, pieces) = try received([
            .data("{\"choices\":[{\"index\":0,\"message\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}")
        ])
        #expect(pieces == ["0all"] && result.choices[0].text == "all")
    }

    @Test(
        arguments: [
            ("{\"error\":{\"message\":\"full\",\"code\":\"rate_limit_exceeded\"}}", ExitStatus.tryAgain, "full"),
            (
                "{\"error\":{\"message\":\"is stopped\",\"code\":\"deployment_stopped\"}}", ExitStatus.failed,
                "is stopped"
            ),
            ("{\"error\":\"plain\"}", ExitStatus.failed, "plain"),
            ("<html>", ExitStatus.failed, "deployment \"demo\" answers with"),
        ] as [(String, Int32, String)])
    func anErrorInTheStreamIsAFailure(_ text: String, _ status: Int32, _ start: String) {
        #expect {
            try received([.data(text)])
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.status == status && failure.message.hasPrefix(start)
        }
    }

    @Test func anAnswerThatBreaksOffIsNoAnswer() {
        for frames in [[], [StreamFrame.data("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}")]] {
            #expect {
                try received(frames)
            } throws: { error in
                (error as? CommandFailure)?.status == ExitStatus.tryAgain
            }
        }
    }

    @Test func aWaitIsToldInASentence() {
        let waiting: JSONValue = ["status": "initializing", "message": "loading the model, 40 %", "position": 3]
        let text = CompletionReception.sentence(waiting, "demo")
        #expect(text == "waking demo: loading the model, 40 % (number 3 in the queue)")
        #expect(CompletionReception.sentence(["status": "ready"], "demo") == "waiting for demo: ready")
    }

    @Test func bodiesSayOnlyWhatWasAskedFor() throws {
        var parameters = SamplingParameters()
        parameters.temperature = 0.7
        let plain = CompletionBody.sampling(parameters, maxTokens: nil, stop: [], ignoresEndOfGeneration: false)
        #expect(plain == JSONObject([("temperature", 0.7)]))
        parameters.topK = 5
        parameters.seed = 9
        parameters.logitBias = [198: -100]
        let body = CompletionBody.sampling(parameters, maxTokens: 4, stop: ["a"], ignoresEndOfGeneration: true)
        #expect(body["top_k"] == 5 && body["seed"] == 9 && body["logit_bias"] == ["198": -100.0])
        #expect(body["max_tokens"] == 4 && body["stop"] == ["a"] && body["ignore_eos"] == true && body["top_p"] == nil)
        #expect(CompletionBody.adapter(nil) == JSONObject([("model", "")]))
        #expect(CompletionBody.adapter("tone/1") == JSONObject([("model", "tone/1")]))
        let hub = CompletionBody.adapter("hf:o/n")
        #expect(hub["adapter_id"] == "o/n" && hub["adapter_source"] == "hub")
    }
}
