import HTTPServing
import ServingJSON
import ServingTensors

@testable import ServingAPI
@testable import ServingEngine

/// Token 0 ends an answer and is special; token n > 0 is the n-th word. Token 9 is half a character.
struct WordTexts: TokenTexts {
    static let words = ["</s>", "one", " two", " three", " four"]

    func text(of id: TokenID) -> String {
        id == 9 ? "\u{FFFD}" : Self.words.indices.contains(Int(id)) ? Self.words[Int(id)] : "?"
    }
    func bytes(of id: TokenID) -> [UInt8] { id == 9 ? [0xE2, 0x82] : Array(text(of: id).utf8) }
    func isSpecial(_ id: TokenID) -> Bool { id == 0 }
}

/// Events as the engine sends them.
enum Events {
    static let started = GenerationEvent.started(
        GenerationEvent.Start(seed: 7, promptTokenCount: 3, cachedTokenCount: 2, queueDuration: .zero))

    static func token(
        _ id: TokenID, _ text: String, isLast: Bool = false, sample: Int = 0,
        logProbability: Float = -0.5, alternatives: [TokenLogProbability] = []
    ) -> GenerationEvent {
        .token(
            GenerationEvent.Token(
                sampleIndex: sample, id: id, text: text, logProbability: logProbability, alternatives: alternatives,
                isLast: isLast))
    }

    static func prompt(_ tokens: [(TokenID, Float?)]) -> GenerationEvent {
        .prompt(tokens.map { PromptToken(id: $0.0, logProbability: $0.1, alternatives: []) })
    }

    static func finished(_ reason: FinishReason, _ count: Int, rest: String = "", sample: Int = 0) -> GenerationEvent {
        .finished(
            GenerationEvent.Finish(
                sampleIndex: sample, reason: reason, text: rest,
                usage: GenerationEvent.Usage(promptTokenCount: 3, cachedTokenCount: 2, completionTokenCount: count),
                timings: GenerationEvent.Timings()))
    }
}

func output(_ events: [GenerationEvent]) -> GenerationOutput {
    var output = GenerationOutput()
    for event in events { output.add(event) }
    return output
}

func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The error that a body comes to, if it does.
func failure<Failure: Error>(_ body: () throws(Failure) -> some Any) -> Failure? {
    do throws(Failure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}
