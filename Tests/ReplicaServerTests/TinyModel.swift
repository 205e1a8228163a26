import ReplicaServer
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingJSON
import ServingModelFiles
import ServingTensors

@testable import ServingRuntime

/// A random model of the fixtures behind a server, with a made-up vocabulary in which tokens are parts of characters,
/// stop strings straddle tokens, and some tokens end the answer. Its answers depend on the requests alone.
struct TinyModel: ReplicaModel {
    /// Token n's bytes. The first 12 are special and end an answer.
    struct Vocabulary: TokenTexts {
        static let specialCount: TokenID = 12

        func isSpecial(_ id: TokenID) -> Bool { id < Self.specialCount }
        func text(of id: TokenID) -> String {
            isSpecial(id) ? "<\(id)>" : String(decoding: bytes(of: id), as: UTF8.self)
        }
        func bytes(of id: TokenID) -> [UInt8] {
            if isSpecial(id) { return [] }
            return switch id % 7 {
            case 0: [0xC3]
            case 1: [0xA9]
            case 2: [0xF0, 0x9F, 0x98]
            case 3: [0x80 + UInt8(id % 64)]
            case 4: Array("ab".utf8)
            case 5: Array(" c\(id % 3)".utf8)
            default: Array("a\n".utf8)
            }
        }
    }

    private struct Decoder: TokenTextDecoding {
        var held: [UInt8] = []

        /// Everything but the beginning of a character at the end.
        mutating func append(_ id: TokenID) -> String {
            held += Vocabulary().bytes(of: id)
            var tail = 0
            while tail < min(3, held.count), held[held.count - 1 - tail] & 0xC0 == 0x80 { tail += 1 }
            var kept = 0
            if tail < held.count {
                let first = held[held.count - 1 - tail]
                let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
                if length > tail + 1 { kept = tail + 1 }
            }
            defer { held.removeFirst(held.count - kept) }
            return String(decoding: held.dropLast(kept), as: UTF8.self)
        }

        mutating func finish() -> String {
            defer { held = [] }
            return String(decoding: held, as: UTF8.self)
        }
    }

    let engine: ServingEngine
    let name = "tiny"
    let deviceType = "cpu"
    let elementTypeName = "torch.float32"
    let texts: (any TokenTexts)? = Vocabulary()
    var limits: ModelLimits { engine.limits }

    /// The model in a folder, with room for so many tokens a sequence.
    init(folder: String, contextLength: Int = 64) throws {
        let files = try ModelFileSet(source: .detect(path: folder), path: folder, contextLength: contextLength)
        var options = LocalModel.Options(contextLength: contextLength, threadCount: 1)
        options.sequenceCount = 8
        let loaded = try LoadedRunner.load(files.description, options)
        engine = ServingEngine(
            runner: loaded.runner, configuration: EngineConfiguration(usesPrefixCache: false), makeSeed: { 5 },
            makeDecoder: { _ in Decoder() })
    }

    func promptTokens(_ text: String, addingSpecialTokens: Bool) throws -> [TokenID] {
        (addingSpecialTokens ? [1] : []) + text.utf8.map { TokenID($0) + 13 }
    }
    func promptTokens(chat: ChatPrompt) throws -> [TokenID] {
        try promptTokens(chat.messages.map { $0["content"]?.stringValue ?? "" }.joined(), addingSpecialTokens: true)
    }
    func vocabularyEntry(of id: TokenID) -> String { Vocabulary().text(of: id) }
    func text(of ids: [TokenID]) -> String {
        String(decoding: ids.flatMap { Vocabulary().bytes(of: $0) }, as: UTF8.self)
    }
    func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> any LeasedAdapter {
        throw AdapterError(.notFound, "no adapter \(selection.name)")
    }
    func request(id: String, promptTokenIDs: [TokenID]) -> GenerationRequest {
        var request = GenerationRequest(id: id, promptTokenIDs: promptTokenIDs, sampling: .greedy)
        request.endOfGenerationTokenIDs = Set(0..<Vocabulary.specialCount)
        return request
    }
    func submit(_ request: GenerationRequest) throws(SubmissionError) -> AsyncStream<GenerationEvent> {
        try engine.submit(request)
    }
    func cancel(_ id: String) { engine.cancel(id) }
    func embedding(of tokens: [TokenID], adapter: (any LeasedAdapter)?) async throws -> [Float] { [] }
    func statistics() -> EngineStatistics { engine.statistics() }
    func adapterStatistics() -> AdapterStatistics { AdapterStatistics() }
}
