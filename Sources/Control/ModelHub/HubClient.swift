import BlockingThreads
import Glibc

/// Fetches models from a hub that speaks the Hugging Face API.
///
/// Called by `pbctl models pull` and by whatever wants a model that is not there yet; uses ``ModelStore`` for the files
/// and libcurl for the wire. The access token goes to the endpoint alone, never to the hosts it redirects to.
public struct HubClient: Sendable {
    /// Scheme, host and path that all addresses begin with; no slash at the end.
    public let endpoint: String
    private(set) var token: String?
    let userAgent: String
    let certificateFile: String?
    var timeouts = HTTPTimeouts()
    /// Failed attempts in a row, none of which brought a byte, before a pull gives up.
    var maximumFailures = 5
    var pause: @Sendable (Duration, CancellationFlag) -> Void = Self.sleep
    var writer: PartialFile.FileWriter = { write($0, $1.baseAddress, $1.count) }
    var freeBytes: @Sendable (String) -> Int64? = { FileSystem.freeBytes($0) }

    /// A client for an endpoint.
    /// - Parameter token: access token, or nil for public models.
    /// - Throws: `.badReference` for an endpoint that is no http or https URL, or a token with characters that none
    ///   has.
    public init(
        endpoint: String = "https://huggingface.co", token: String? = nil, userAgent: String = "pbctl",
        certificateFile: String? = nil
    ) throws(ModelHubError) {
        guard endpoint.hasPrefix("https://") || endpoint.hasPrefix("http://"),
            endpoint.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw ModelHubError(.badReference, "HF_ENDPOINT \"\(endpoint)\" is not an http or https URL") }
        if let token, !token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            throw ModelHubError(.badReference, "the access token holds a space or another character that none has")
        }
        var end = endpoint[...]
        while end.hasSuffix("/") { end = end.dropLast() }
        self.endpoint = String(end)
        self.token = token
        self.userAgent = userAgent
        self.certificateFile = certificateFile
    }

    /// A client as the environment asks for: `HF_ENDPOINT`; the token from `HF_TOKEN` or else from the file that
    /// `huggingface-cli login` writes (`$HF_HOME/token` or `~/.cache/huggingface/token`); `SSL_CERT_FILE`.
    public init(
        environment: (String) -> String? = PbctlDirectories.processEnvironment, userAgent: String = "pbctl"
    ) throws(ModelHubError) {
        func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        var token = value("HF_TOKEN") ?? value("HUGGING_FACE_HUB_TOKEN")
        if token == nil {
            let caches = value("XDG_CACHE_HOME") ?? value("HOME").map { $0 + "/.cache" }
            if let folder = value("HF_HOME") ?? caches.map({ $0 + "/huggingface" }),
                let bytes = try? FileSystem.read(folder + "/token", limit: 4096)
            {
                token = String(decoding: bytes, as: UTF8.self)
            }
        }
        let trimmed = token.map { text in
            String(decoding: text.utf8.drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed(), as: UTF8.self)
        }
        try self.init(
            endpoint: value("HF_ENDPOINT") ?? "https://huggingface.co",
            token: trimmed.flatMap { $0.isEmpty ? nil : $0 }, userAgent: userAgent,
            certificateFile: value("SSL_CERT_FILE"))
    }

    /// The same client without an access token.
    public var withoutToken: HubClient {
        var client = self
        client.token = nil
        return client
    }

    /// The same client with another access token.
    /// - Throws: `.badReference` for a token with characters that none has.
    func with(token: String) throws(ModelHubError) -> HubClient {
        var client = try HubClient(
            endpoint: endpoint, token: token, userAgent: userAgent, certificateFile: certificateFile)
        (client.timeouts, client.maximumFailures) = (timeouts, maximumFailures)
        (client.pause, client.writer, client.freeBytes) = (pause, writer, freeBytes)
        return client
    }

    /// Fetches a model into the store, or finds that its newest commit is there.
    ///
    /// Files arrive as `.part`, are checked, made durable and renamed; the manifest comes last. After an interruption,
    /// a broken connection or a full disk the same call carries on where it stopped. Pulls of one model by several
    /// processes queue up, and all but the first then find it done.
    /// - Parameters:
    ///   - name: name in the store; by default the repository's, or the GGUF file's without its ending.
    ///   - cancellation: stops the pull within a second; so does cancelling the task.
    ///   - onEvent: called in the thread that pulls.
    public func pull(
        _ reference: HubReference, into store: ModelStore, as name: String? = nil,
        cancellation: CancellationFlag = CancellationFlag(), onEvent: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(ModelHubError) -> StoredModel {
        let result: Result<StoredModel, ModelHubError> = await withTaskCancellationHandler {
            await BlockingThread.run {
                Result { () throws(ModelHubError) in
                    let work = HubPull(
                        client: self, store: store, reference: reference, name: name, cancellation: cancellation,
                        onEvent: onEvent)
                    return try work.run()
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    private static let sleep: @Sendable (Duration, CancellationFlag) -> Void = { duration, cancellation in
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !cancellation.isCancelled { usleep(50_000) }
    }
}
