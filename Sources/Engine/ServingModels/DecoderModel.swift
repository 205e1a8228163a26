public import ServingTensors

/// A decoder's weights on one backend, and its forward pass.
///
/// Called by ``DecoderRunner`` once a step; calls the backend's operations in order. The same code runs every family:
/// what differs is in ``DecoderConfig`` and in which optional weights are there.
public final class DecoderModel<Device: Backend> {
    /// What the model is.
    public let config: DecoderConfig
    private let backend: Device
    private let embedding: Device.EmbeddingTable
    private let layers: [Layer]
    private let rotaries: [Device.Rotary]
    private let finalNorm: Device.Vector
    private let head: LinearLayer<Device>
    private let slots: AdapterSlots

    private struct Layer {
        let attentionNorm: Device.Vector
        /// Query, key, value.
        let projections: [LinearLayer<Device>]
        let queryNorm: Device.Vector?
        let keyNorm: Device.Vector?
        let output: LinearLayer<Device>
        let postAttentionNorm: Device.Vector?
        let feedForwardNorm: Device.Vector
        /// Gate, up.
        let gateAndUp: [LinearLayer<Device>]
        let down: LinearLayer<Device>
        let postFeedForwardNorm: Device.Vector?
    }

    /// Uploads the weights. `progress` is told the share of their bytes that is done, 0...1, after each tensor.
    public init(
        config: DecoderConfig, weights: DecoderWeights, backend: Device, progress: ((Double) -> Void)? = nil
    ) throws {
        self.config = config
        self.backend = backend
        slots = AdapterSlots(layerCount: config.layerCount)
        let offset = config.normWeightOffset
        let allBytes = max(1, weights.byteCount)
        var doneBytes = 0
        func done(_ bytes: Int) {
            doneBytes += bytes
            progress?(Double(doneBytes) / Double(allBytes))
        }
        func linear(_ stored: LinearWeights) throws -> LinearLayer<Device> {
            defer { done(stored.byteCount) }
            return LinearLayer(
                weight: try backend.makeMatrix(stored.weight),
                bias: try stored.bias.map { try backend.makeVector($0, offset: 0) })
        }
        func norm(_ stored: StoredTensor) throws -> Device.Vector {
            defer { done(stored.bytes.count) }
            return try backend.makeVector(stored, offset: offset)
        }
        embedding = try backend.makeEmbeddingTable(weights.embedding)
        done(weights.embedding.bytes.count)
        layers = try weights.layers.map { layer in
            Layer(
                attentionNorm: try norm(layer.attentionNorm),
                projections: try [layer.query, layer.key, layer.value].map(linear),
                queryNorm: try layer.queryNorm.map(norm), keyNorm: try layer.keyNorm.map(norm),
                output: try linear(layer.output), postAttentionNorm: try layer.postAttentionNorm.map(norm),
                feedForwardNorm: try norm(layer.feedForwardNorm),
                gateAndUp: try [layer.gate, layer.up].map(linear), down: try linear(layer.down),
                postFeedForwardNorm: try layer.postFeedForwardNorm.map(norm))
        }
        rotaries = try config.rotaries.map(backend.makeRotary)
        finalNorm = try norm(weights.finalNorm)
        head = try linear(weights.head)
    }

    /// Activations that one step works in, for up to T tokens. Made once and used by every step.
    public struct Workspace {
        /// The residual stream, (T, E).
        let hidden: Device.Activation
        /// A sub-layer's input or result, (T, E).
        let branch: Device.Activation
        /// (T, H * D), (T, K * D), (T, K * D).
        let projections: [Device.Activation]
        /// Attention's result, (T, H * D).
        let attended: Device.Activation
        /// (T, F) twice.
        let gateAndUp: [Device.Activation]
    }

    /// Room for steps of up to `tokenCount` tokens.
    public func makeWorkspace(tokenCount: Int) throws -> Workspace {
        func activation(_ width: Int) throws -> Device.Activation {
            try backend.makeActivation(rowCapacity: tokenCount, width: width)
        }
        let queryWidth = config.headCount * config.headDimension
        let keyWidth = config.keyValueHeadCount * config.headDimension
        return Workspace(
            hidden: try activation(config.hiddenSize), branch: try activation(config.hiddenSize),
            projections: try [queryWidth, keyWidth, keyWidth].map(activation), attended: try activation(queryWidth),
            gateAndUp: try [config.feedForwardSize, config.feedForwardSize].map(activation))
    }

    /// Computes one step: keys and values of all its tokens into `cache`, scores of the wanted ones into `logits`
    /// (M, V), and the wanted last hidden states, after the final norm, into `hiddenStates`, rows of E.
    public func forward(
        _ batch: ForwardBatch, cache: Device.KVCache, workspace: Workspace, logits: Device.Activation,
        hiddenStates: Device.Activation? = nil
    ) throws {
        try backend.begin(batch)
        try backend.embed(embedding, scale: config.embeddingScale, into: workspace.hidden)
        for (index, layer) in layers.enumerated() {
            try attend(layer, index: index, cache: cache, workspace)
            try feedForward(layer, index: index, workspace)
        }
        if let hiddenStates, !batch.hiddenTokenIndices.isEmpty {
            try backend.gather(batch.hiddenTokenIndices, of: workspace.hidden, into: hiddenStates)
            try backend.rmsNorm(
                hiddenStates, weight: finalNorm, slot: slots.finalNorm, epsilon: config.normEpsilon,
                into: hiddenStates)
        }
        guard !batch.logitTokenIndices.isEmpty else { return }
        try backend.gather(batch.logitTokenIndices, of: workspace.hidden, into: workspace.branch)
        try backend.rmsNorm(
            workspace.branch, weight: finalNorm, slot: slots.finalNorm, epsilon: config.normEpsilon,
            into: workspace.branch)
        try backend.linear(workspace.branch, [head], slot: slots.head, into: [logits])
        if config.logitScale != 1 || config.logitSoftCap != nil {
            try backend.scaleAndCap(logits, scale: config.logitScale, softCap: config.logitSoftCap)
        }
    }

    private func attend(_ layer: Layer, index: Int, cache: Device.KVCache, _ workspace: Workspace) throws {
        let (queries, keys, values) = (
            workspace.projections[0], workspace.projections[1], workspace.projections[2]
        )
        let (epsilon, rotary) = (config.normEpsilon, rotaries[config.layers[index].rotaryIndex])
        try backend.rmsNorm(
            workspace.hidden, weight: layer.attentionNorm, slot: slots.norm(.attention, layer: index),
            epsilon: epsilon, into: workspace.branch)
        try backend.linear(
            workspace.branch, layer.projections, slot: slots.linear(.query, layer: index),
            into: workspace.projections)
        if let norm = layer.queryNorm {
            try backend.headRMSNorm(
                queries, headCount: config.headCount, weight: norm, slot: slots.norm(.query, layer: index),
                epsilon: epsilon)
        }
        if let norm = layer.keyNorm {
            try backend.headRMSNorm(
                keys, headCount: config.keyValueHeadCount, weight: norm, slot: slots.norm(.key, layer: index),
                epsilon: epsilon)
        }
        try backend.rotate(queries, headCount: config.headCount, by: rotary)
        try backend.rotate(keys, headCount: config.keyValueHeadCount, by: rotary)
        try backend.store(keys: keys, values: values, in: cache, layer: index)
        let parameters = AttentionParameters(
            headCount: config.headCount, softmaxScale: config.softmaxScale, softCap: config.attentionSoftCap,
            slidingWindow: config.layers[index].slidingWindow)
        try backend.attend(queries, over: cache, layer: index, parameters, into: workspace.attended)
        try backend.linear(
            workspace.attended, [layer.output], slot: slots.linear(.output, layer: index), into: [workspace.branch])
        try addBranch(
            postNorm: layer.postAttentionNorm, slot: slots.norm(.postAttention, layer: index), workspace)
    }

    private func feedForward(_ layer: Layer, index: Int, _ workspace: Workspace) throws {
        let (gate, up) = (workspace.gateAndUp[0], workspace.gateAndUp[1])
        try backend.rmsNorm(
            workspace.hidden, weight: layer.feedForwardNorm, slot: slots.norm(.feedForward, layer: index),
            epsilon: config.normEpsilon, into: workspace.branch)
        try backend.linear(
            workspace.branch, layer.gateAndUp, slot: slots.linear(.gate, layer: index), into: workspace.gateAndUp)
        try backend.gatedActivation(config.activation, gate: gate, up: up, into: gate)
        try backend.linear(gate, [layer.down], slot: slots.linear(.down, layer: index), into: [workspace.branch])
        try addBranch(
            postNorm: layer.postFeedForwardNorm, slot: slots.norm(.postFeedForward, layer: index), workspace)
    }

    private func addBranch(postNorm: Device.Vector?, slot: Int, _ workspace: Workspace) throws {
        if let postNorm {
            try backend.rmsNorm(
                workspace.branch, weight: postNorm, slot: slot, epsilon: config.normEpsilon, into: workspace.branch)
        }
        try backend.add(workspace.branch, scale: config.residualScale, to: workspace.hidden)
    }
}
