import BlockingThreads
import CCurl
import ServingJSON

/// Asks a server what a load needs to know before it starts.
public struct ServerProbe: Sendable {
    private let target: LoadTarget

    /// A probe.
    public init(_ target: LoadTarget) { self.target = target }

    /// One request, in a thread of its own; nil body for GET. Any status is an answer.
    private func ask(_ path: String, body: JSONValue? = nil) async throws(LoadGeneratorError) -> (
        status: Int, value: JSONValue?
    ) {
        let target = target
        let bytes = body.map { Array($0.text().utf8) }
        let result = await BlockingThread.run { () -> (code: Int32, status: Int, body: [UInt8])? in
            HTTPRequestHandle(target, path: path, body: bytes)?.perform()
        }
        guard let result else { throw LoadGeneratorError(.unreachable, "libcurl has no memory") }
        guard result.code == CCURL_OK else {
            throw LoadGeneratorError(
                .unreachable, "\(target.url): \(String(cString: ccurl_error_text(result.code)).lowercasedFirst)")
        }
        return (result.status, try? JSONValue(parsing: result.body))
    }

    /// Throws where there is no server, or none that answers in time.
    public func checkReachable() async throws(LoadGeneratorError) { _ = try await ask("/health") }

    /// Learns the server's tokens from LoRAX's `/tokenize`, or gives nil where it has no such thing.
    public func vocabulary() async throws(LoadGeneratorError) -> PromptVocabulary? {
        let (status, value) = try await ask("/tokenize", body: ["inputs": .string(PromptVocabulary.probe)])
        guard status == 200, let tokens = value?.arrayValue else { return nil }
        let ranges = tokens.compactMap { token -> Range<Int>? in
            guard let start = token["start"]?.intValue, let stop = token["stop"]?.intValue, start <= stop else {
                return nil
            }
            return start..<stop
        }
        return ranges.count == tokens.count ? PromptVocabulary(tokens: ranges) : nil
    }

    /// The models of `/v1/models`: the base ones, and the adapters, which name an owner `adapter` or a parent.
    public func models() async throws(LoadGeneratorError) -> (base: [String], adapters: [String]) {
        let (status, value) = try await ask("/v1/models")
        var (base, adapters): ([String], [String]) = ([], [])
        guard status == 200 else { return (base, adapters) }
        for entry in value?["data"]?.arrayValue ?? [] {
            guard let id = entry["id"]?.stringValue else { continue }
            let isAdapter =
                entry["owned_by"]?.stringValue == "adapter" || entry["parent"]?.stringValue != nil
            if isAdapter { adapters.append(id) } else { base.append(id) }
        }
        return (base, adapters)
    }

    /// Sets all adapters of llama.cpp's server to 0: a request that names none would get all of them, and one at a
    /// time. Does nothing where there are none.
    public func clearLlamaAdapters() async throws(LoadGeneratorError) -> Int {
        let (status, value) = try await ask("/lora-adapters")
        guard status == 200, let adapters = value?.arrayValue, !adapters.isEmpty else { return 0 }
        let zeros = adapters.compactMap { $0["id"]?.intValue }.map { id -> JSONValue in
            ["id": .integer(Int64(id)), "scale": 0]
        }
        _ = try await ask("/lora-adapters", body: .array(zeros))
        return adapters.count
    }
}

extension String {
    /// libcurl's texts begin sentences; ours go on after a colon.
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
