import NIOCore
import ServingJSON
import Testing

@testable import Gateway

@Suite("Bodies that are changed in place") struct JSONMembersTests {
    private func values(_ text: String, _ name: StaticString = "model") -> [String] {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { JSONMembers.values(name, in: $0) }.map {
            String(decoding: bytes[$0], as: UTF8.self)
        }
    }

    @Test(
        "Values of top-level members are found, nested ones are not",
        arguments: [
            (#"{"model":"a"}"#, [#""a""#]),
            (#" { "x" : {"model":"no"} , "model" : "a,}\"b" , "y":[1,{"model":2}] } "#, [#""a,}\"b""#]),
            (#"{"model":1,"model":null}"#, ["1", "null"]),
            (#"{"m\u006fdel":"a","models":3}"#, [#""a""#]),
            (#"{"a":-1.5e3,"b":true,"model":[]}"#, ["[]"]),
            (#"{}"#, []), ("[]", []), ("", []), ("{", []), (#"{"model":"#, []), (#"{"model":"a"#, []),
            (#"{"model"}"#, []), (#"{"a":[1,2"#, []), (#"{"a":]"#, []),
        ])
    func finds(text: String, expected: [String]) {
        #expect(values(text) == expected)
        #expect(values("\u{FEFF}" + text) == expected)
    }

    @Test("Bytes of all kinds never lead beyond the end")
    func survivesNoise() {
        var state: UInt64 = 1
        let alphabet = Array(#"{}[]":,\model1 "#.utf8)
        for length in 0..<2000 {
            var bytes: [UInt8] = []
            for _ in 0..<length % 40 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            for range in bytes.withUnsafeBytes({ JSONMembers.values("model", in: $0) }) {
                #expect(range.upperBound <= bytes.count)
            }
        }
    }

    @Test(
        "A body gets another model and a last member, and says the same otherwise",
        arguments: [
            (#"{"model":"d:a","x":1}"#, #"{"model":"a","x":1,"pbctl":{"seed":1}}"#),
            (#"{"model":"d:a", "model":"b" } "#, #"{"model":"a", "model":"a" ,"pbctl":{"seed":1}}"#),
            (#"{}"#, #"{"pbctl":{"seed":1}}"#),
            (#"{"pbctl":{"seed":9}}"#, #"{"pbctl":{"seed":9},"pbctl":{"seed":1}}"#),
        ])
    func splices(text: String, expected: String) throws {
        let request = try GatewayRequest(.completions, ByteBuffer(string: text), try JSONValue(parsing: text))
        let body = request.body(model: "a").bytes(pbctl: Array(#"{"seed":1}"#.utf8))
        #expect(String(buffer: body) == expected)
        #expect(try JSONValue(parsing: String(buffer: body))["pbctl"]?["seed"]?.intValue == 1)
    }

    @Test("What the gateway has to know of a body is read from each kind of route")
    func reads() throws {
        func request(_ endpoint: GatewayEndpoint, _ text: String) throws -> GatewayRequest {
            try GatewayRequest(endpoint, ByteBuffer(string: text), try JSONValue(parsing: text))
        }
        let chat = try request(.chat, #"{"model":"m","messages":[{"a":1}],"max_tokens":7,"stream":true}"#)
        #expect(chat.isStream && chat.model == "m" && chat.tokenCount == 9 / 4 + 1 + 7)
        let native = try request(
            .compatible, #"{"inputs":"12345678","parameters":{"adapter_id":"a","max_new_tokens":3}}"#)
        #expect(!native.isStream && native.nativeAdapter == "a" && native.tokenCount == 10 / 4 + 1 + 3)
        let merged = try request(
            .generate, #"{"inputs":"","stream":true,"parameters":{"merged_adapters":{"ids":["a","b"]}}}"#)
        #expect(!merged.isStream && merged.nativeAdapter == "a,b")
        #expect(throws: GatewayError.self) { try request(.chat, "[1]") }
        #expect(throws: GatewayError.self) { try request(.chat, #"{"model":5}"#) }
        #expect(try request(.generate, #"{"inputs":"","parameters":{"max_new_tokens":-5}}"#).tokenCount > 0)
    }
}
