import HTTPServing
import ServingAPI
import ServingEngine
import ServingJSON
import Testing

@Suite("OpenAI requests") struct OpenAIRequestTests {
    private func chatError(_ fields: String) throws -> OpenAIError? {
        let value = try json(#"{"model":"m","messages":[{"role":"user","content":"hi"}],\#(fields)}"#)
        return failure { () throws(OpenAIError) in try ChatRequest(value) }
    }
    private func completionError(_ fields: String) throws -> OpenAIError? {
        let value = try json(#"{"model":"m",\#(fields)}"#)
        return failure { () throws(OpenAIError) in try CompletionRequest(value) }
    }

    @Test(
        "A bad field of a chat is named as param, with status 400",
        arguments: [
            (#""temperature":"x""#, "temperature"), (#""temperature":2.5"#, "temperature"), (#""top_p":1.5"#, "top_p"),
            (#""n":0"#, "n"), (#""n":1000"#, "n"), (#""max_tokens":0"#, "max_tokens"),
            (#""max_completion_tokens":-1"#, "max_completion_tokens"), (#""stop":5"#, "stop"),
            (#""stop":["a",5]"#, "stop[1]"), (#""seed":"x""#, "seed"), (#""logit_bias":{"x":1}"#, "logit_bias.x"),
            (#""logit_bias":{"5":"y"}"#, "logit_bias.5"), (#""logprobs":3"#, "logprobs"),
            (#""top_logprobs":2"#, "top_logprobs"), (#""logprobs":true,"top_logprobs":21"#, "top_logprobs"),
            (#""stream":"yes""#, "stream"), (#""stream_options":{"include_usage":true}"#, "stream_options"),
            (#""response_format":"json""#, "response_format"), (#""tools":{}"#, "tools"), (#""top_k":-2"#, "top_k"),
            (#""chat_template_kwargs":[]"#, "chat_template_kwargs"),
        ])
    func chatFields(fields: String, param: String) throws {
        let error = try chatError(fields)
        #expect(error?.status == 400 && error?.param == param, "\(String(describing: error))")
        #expect(error?.type == "invalid_request_error")
    }

    @Test("Tools and JSON answers are refused clearly; text answers and empty tools are fine")
    func features() throws {
        #expect(try chatError(#""tools":[{"type":"function"}]"#)?.status == 422)
        #expect(try chatError(#""response_format":{"type":"json_object"}"#)?.status == 422)
        #expect(try chatError(#""response_format":{"type":"text"},"tools":[]"#) == nil)
    }

    @Test(
        "Messages need a role and content that is text",
        arguments: [
            ("[]", "messages"), (#"[{"role":"robot","content":"x"}]"#, "messages[0].role"),
            (#"[{"role":"user"}]"#, "messages[0].content"), (#"[{"role":"user","content":5}]"#, "messages[0].content"),
            (#"["hi"]"#, "messages[0]"),
            (#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#, "messages[0].content[0]"),
            (#"[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0]"),
        ])
    func messages(messages: String, param: String) throws {
        let value = try json(#"{"messages":\#(messages)}"#)
        let error = failure { () throws(OpenAIError) in try ChatRequest(value) }
        #expect(error?.status == 400 && error?.param == param)
    }

    @Test("Parts become one text, and developers speak as the system")
    func parts() throws {
        let chat = try ChatRequest(
            json(
                #"{"messages":[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#
            ))
        #expect(chat.messages == [["role": "system", "content": "a\nb"]])
    }

    @Test("The newer limit of tokens wins, and absent fields take OpenAI's defaults")
    func defaults() throws {
        let body =
            #"{"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"max_completion_tokens":9,"stop":"\n"}"#
        let chat = try ChatRequest(json(body))
        #expect(chat.maxTokenCount == 9 && chat.sampling.stop == ["\n"] && chat.sampling.choiceCount == 1)
        #expect(chat.sampling.parameters == SamplingParameters(temperature: 1))
    }

    @Test("Prompts come as text, texts, tokens or lists of tokens")
    func prompts() throws {
        func prompts(_ text: String) throws -> [PromptInput] {
            try CompletionRequest(json(#"{"prompt":\#(text)}"#)).prompts
        }
        #expect(try prompts(#""a""#) == [.text("a")])
        #expect(try prompts(#"["a","b"]"#) == [.text("a"), .text("b")])
        #expect(try prompts("[1,2]") == [.tokenIDs([1, 2])])
        #expect(try prompts("[[1],[2,3]]") == [.tokenIDs([1]), .tokenIDs([2, 3])])
        for bad in ["[]", "5", "[1.5]", #"[1,"a"]"#, #"["a",1]"#, "[[1],2]", "[99999999999]", "null"] {
            #expect(try completionError(#""prompt":\#(bad)"#)?.param == "prompt", "\(bad)")
        }
    }

    @Test(
        "best_of is at least n and does not stream; logprobs is a small number",
        arguments: [
            (#""prompt":"a","best_of":1,"n":2"#, "best_of"), (#""prompt":"a","best_of":3,"stream":true"#, "best_of"),
            (#""prompt":"a","logprobs":21"#, "logprobs"), (#""prompt":"a","suffix":"z""#, "suffix"),
            (#""prompt":"a","echo":"yes""#, "echo"),
        ])
    func completionFields(fields: String, param: String) throws {
        #expect(try completionError(fields)?.param == param)
    }

    @Test("Embeddings take texts and tokens, as floats or base64")
    func embeddings() throws {
        let request = try EmbeddingRequest(json(#"{"model":"a","input":["x"],"encoding_format":"base64"}"#))
        #expect(request.encoding == .base64 && request.inputs == [.text("x")] && request.adapter.id == "a")
        let value = try json(#"{"input":"x","encoding_format":"hex"}"#)
        #expect(failure { () throws(OpenAIError) in try EmbeddingRequest(value) }?.param == "encoding_format")
        let answer = EmbeddingResponse(vectors: [[1, -2]], encoding: .base64, model: "m", tokenCount: 3)
        let body = try json(text(answer.json.bytes))
        // Little-endian 1.0 and -2.0.
        #expect(body["data"]?[0]?["embedding"]?.stringValue == "AACAPwAAAMA=")
        #expect(body["usage"]?["prompt_tokens"]?.intValue == 3)
    }
}

@Suite("OpenAI answers") struct OpenAIResponseTests {
    private let identity = OpenAIIdentity(id: "chatcmpl-1", created: 5, model: "m", fingerprint: "fp")
    private let head =
        #""id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"fp""#

    private func chat(_ fields: String = "") throws -> ChatResponse {
        let body = #"{"messages":[{"role":"user","content":"hi"}]\#(fields)}"#
        return ChatResponse(try ChatRequest(json(body)), identity, texts: WordTexts())
    }
    private let events: [GenerationEvent] = [
        Events.started, Events.token(1, "one"), Events.token(0, "", isLast: true), Events.finished(.stop(0), 2),
    ]

    @Test("A chat's stream is a role, text, a reason and [DONE]")
    func chatStream() throws {
        var stream = try chat(#","stream":true"#).stream()
        let bytes = try events.flatMap { try stream.bytes($0) } + stream.end()
        func chunk(_ delta: String, _ reason: String) -> String {
            "data: {\(head),\"choices\":[{\"index\":0,\"delta\":\(delta),\"logprobs\":null,\"finish_reason\":\(reason)}]}\n\n"
        }
        #expect(
            text(bytes)
                == chunk(#"{"role":"assistant","content":""}"#, "null") + chunk(#"{"content":"one"}"#, "null")
                + chunk("{}", #""stop""#) + "data: [DONE]\n\n")
    }

    @Test("With include_usage the last chunk before [DONE] has the usage and no choices")
    func usage() throws {
        var stream = try chat(#","stream":true,"stream_options":{"include_usage":true}"#).stream()
        _ = try events.flatMap { try stream.bytes($0) }
        let usage =
            #""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":2}}"#
        #expect(text(stream.end()) == "data: {\(head),\"choices\":[],\(usage)}\n\ndata: [DONE]\n\n")
    }

    @Test("A chat's log probabilities leave out the token that ends it and tell bytes")
    func chatLogProbabilities() throws {
        let alternatives = [
            TokenLogProbability(id: 9, logProbability: -0.25), TokenLogProbability(id: 2, logProbability: -.infinity),
        ]
        let finished = output([
            Events.started, Events.token(1, "one", alternatives: alternatives), Events.token(0, "", isLast: true),
            Events.finished(.stop(0), 2),
        ])
        let answer = try json(text(chat(#","logprobs":true,"top_logprobs":2"#).json(finished).bytes))
        let content = answer["choices"]?[0]?["logprobs"]?["content"]
        #expect(content?.arrayValue?.count == 1)
        #expect(content?[0]?["token"] == "one" && content?[0]?["bytes"] == [111, 110, 101])
        #expect(content?[0]?["top_logprobs"]?[0]?["bytes"] == [0xE2, 0x82])
        #expect(content?[0]?["top_logprobs"]?[1]?["logprob"]?.doubleValue == -9999)
        #expect(answer["object"] == "chat.completion" && answer["choices"]?[0]?["finish_reason"] == "stop")
    }

    private func completion(_ fields: String, prompts: [String] = []) throws -> CompletionResponse {
        CompletionResponse(
            try CompletionRequest(json(#"{"prompt":"hi",\#(fields)}"#)), identity, promptTexts: prompts,
            texts: WordTexts())
    }

    @Test("An echoed prompt comes first, with its log probabilities, and offsets count on from it")
    func echo() throws {
        let finished = output([
            Events.started,
            Events.prompt([(1, nil), (2, -1)]), Events.token(3, " three", isLast: true), Events.finished(.length, 1),
        ])
        let answer = try json(
            text(completion(#""echo":true,"logprobs":0"#, prompts: ["one two"]).json([finished]).bytes))
        let choice = answer["choices"]?[0]
        #expect(choice?["text"]?.stringValue == "one two three")
        #expect(choice?["finish_reason"]?.stringValue == "length")
        #expect(choice?["logprobs"]?["tokens"] == ["one", " two", " three"])
        #expect(choice?["logprobs"]?["text_offset"] == [0, 3, 7])
        #expect(choice?["logprobs"]?["token_logprobs"]?[0] == JSONValue.null)
        #expect(choice?["logprobs"]?["top_logprobs"]?[1] == [" two": -1.0])
    }

    @Test("Half a character is told as its bytes")
    func halves() throws {
        let finished = output([Events.token(9, "", isLast: true), Events.finished(.length, 1)])
        let answer = try json(text(completion(#""logprobs":1"#).json([finished]).bytes))
        #expect(answer["choices"]?[0]?["logprobs"]?["tokens"] == ["bytes:\\xe2\\x82"])
    }

    @Test("Choices of several prompts are numbered through")
    func severalPrompts() throws {
        let value = try json(#"{"prompt":["a","b"],"n":2,"stream":true}"#)
        var stream = CompletionResponse(try CompletionRequest(value), identity, promptTexts: [], texts: WordTexts())
            .stream()
        let bytes = try stream.bytes(Events.token(1, "one", sample: 1), promptIndex: 1)
        #expect(text(bytes).contains(#""choices":[{"index":3,"text":"one""#))
    }

    @Test("A model that fails is status 500, in a stream an event")
    func failures() throws {
        var stream = try chat(#","stream":true"#).stream()
        let error = failure { () throws(OpenAIError) in try stream.bytes(Events.finished(.failed("no memory"), 0)) }
        #expect(error == .server("no memory"))
        #expect(
            text(EventStream.frame(.server("no memory")))
                == #"data: {"error":{"message":"no memory","type":"server_error","param":null,"code":null}}"# + "\n\n")
    }
}
