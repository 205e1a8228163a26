package import ServingAPI
package import ServingAdapters
package import ServingEngine
package import ServingRuntime
package import ServingTensors

/// An adapter that a request runs with, kept on the device while somebody holds this.
package protocol LeasedAdapter: AnyObject, Sendable {
    /// The id that the client gave; a merge's ids joined by commas.
    var name: String { get }
    /// How long the caller waited for it; zero when it was there.
    var loadDuration: Duration { get }
    /// Makes a request run with the adapter.
    func apply(to request: inout GenerationRequest)
}

/// What a replica server needs of a model. `LocalModel` is the real one; tests use a script.
package protocol ReplicaModel: Sendable {
    /// Name that clients know the model by.
    var name: String { get }
    /// Kind of the device, for `/info`: `cpu`.
    var deviceType: String { get }
    /// Type of the weights in PyTorch's words, for `/info`.
    var elementTypeName: String { get }
    /// Sizes of the model.
    var limits: ModelLimits { get }
    /// Shows tokens to clients; nil without a tokenizer.
    var texts: (any TokenTexts)? { get }

    /// Tokens of a raw prompt in which special tokens may be spelled out.
    func promptTokens(_ text: String, addingSpecialTokens: Bool) throws -> [TokenID]
    /// Tokens of a conversation.
    func promptTokens(chat: ChatPrompt) throws -> [TokenID]
    /// The vocabulary's entry of a token, as files write it.
    func vocabularyEntry(of id: TokenID) -> String
    /// Text of tokens.
    func text(of ids: [TokenID]) -> String

    /// Loads an adapter, or finds it loaded.
    func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> any LeasedAdapter
    /// A request with the model's end-of-generation tokens.
    func request(id: String, promptTokenIDs: [TokenID]) -> GenerationRequest
    /// Takes a request. Letting go of the stream cancels it.
    func submit(_ request: GenerationRequest) throws(SubmissionError) -> AsyncStream<GenerationEvent>
    /// Ends a request before its next step.
    func cancel(_ id: String)
    /// Mean of the last hidden states, (E).
    func embedding(of tokens: [TokenID], adapter: (any LeasedAdapter)?) async throws -> [Float]

    /// What the engine holds and has done.
    func statistics() -> EngineStatistics
    /// What the adapter library holds and has done.
    func adapterStatistics() -> AdapterStatistics
    /// How busy its GPU is; nil where it has none or nothing tells.
    func gpuUsage() -> GPUUsage?
}

extension ReplicaModel {
    /// A model on the processor.
    package func gpuUsage() -> GPUUsage? { nil }
}
