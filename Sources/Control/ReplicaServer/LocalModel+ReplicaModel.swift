package import ServingAPI
package import ServingAdapters
package import ServingEngine
package import ServingRuntime
package import ServingTensors
import ServingTokenizers

extension AdapterLease: LeasedAdapter {}

/// A loaded model behind a replica server.
package struct LocalReplicaModel: ReplicaModel {
    private let model: LocalModel
    /// Name that clients know the model by.
    package let name: String
    /// Shows tokens to clients.
    package let texts: (any TokenTexts)?

    /// A model, served under its own name or another.
    package init(_ model: LocalModel, name: String? = nil) {
        self.model = model
        self.name = name ?? model.name
        texts = model.codec.map { TokenizerTexts(tokenizer: $0.tokenizer) }
    }

    /// `cpu` or `cuda`.
    package var deviceType: String { model.device.kind }
    /// Computes in float32 or with float16 keys and values; LoRAX's clients expect a name of PyTorch's.
    package var elementTypeName: String { "torch.float32" }
    /// Sizes of the model.
    package var limits: ModelLimits { model.engine.limits }

    /// Tokens of a raw prompt.
    package func promptTokens(_ text: String, addingSpecialTokens: Bool) throws -> [TokenID] {
        let tokenizer = try model.requireCodec().tokenizer
        return tokenizer.encode(
            text, specialTokens: .recognized, addingBOS: addingSpecialTokens && tokenizer.addsBOS)
    }

    /// Tokens of a conversation.
    package func promptTokens(chat: ChatPrompt) throws -> [TokenID] {
        try model.requireCodec().promptTokens(chat: chat)
    }

    /// The vocabulary's entry of a token.
    package func vocabularyEntry(of id: TokenID) -> String { model.codec?.tokenizer.text(of: id) ?? "" }

    /// Text of tokens.
    package func text(of ids: [TokenID]) -> String {
        model.codec?.tokenizer.decode(ids, skippingSpecialTokens: true) ?? ""
    }

    /// Loads an adapter, or finds it loaded.
    package func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> any LeasedAdapter {
        try await model.adapters.acquire(selection)
    }

    /// A request with the model's end-of-generation tokens.
    package func request(id: String, promptTokenIDs: [TokenID]) -> GenerationRequest {
        model.request(id: id, promptTokenIDs: promptTokenIDs, sampling: .greedy)
    }

    /// Takes a request.
    package func submit(_ request: GenerationRequest) throws(SubmissionError) -> AsyncStream<GenerationEvent> {
        try model.engine.submit(request)
    }

    /// Ends a request before its next step.
    package func cancel(_ id: String) { model.engine.cancel(id) }

    /// Mean of the last hidden states.
    package func embedding(of tokens: [TokenID], adapter: (any LeasedAdapter)?) async throws -> [Float] {
        try await model.embedding(of: tokens, adapter: adapter as? AdapterLease)
    }

    /// What the engine holds and has done.
    package func statistics() -> EngineStatistics { model.engine.statistics() }
    /// What the adapter library holds and has done.
    package func adapterStatistics() -> AdapterStatistics { model.adapters.statistics() }
    /// How busy its GPU is.
    package func gpuUsage() -> GPUUsage? { model.gpuUsage() }
}

/// A tokenizer's way of showing single tokens.
private struct TokenizerTexts: TokenTexts {
    let tokenizer: Tokenizer

    func text(of id: TokenID) -> String {
        if tokenizer.isSpecial(id) { return tokenizer.text(of: id) ?? "" }
        return String(decoding: tokenizer.bytes(of: id), as: UTF8.self)
    }
    func bytes(of id: TokenID) -> [UInt8] { tokenizer.bytes(of: id) }
    func isSpecial(_ id: TokenID) -> Bool { tokenizer.isSpecial(id) }
}
