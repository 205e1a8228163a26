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
        /// Layers that read the same input.
        func linears(_ stored: [LinearWeights]) throws -> [LinearLayer<Device>] {
            let matrices = try backend.makeMatrices(stored.map(\.weight))
            return try zip(stored, matrices).map { stored, matrix in
                defer { done(stored.byteCount) }
                return LinearLayer(
                    weight: matrix, bias: try stored.bias.map { try backend.makeVector($0, offset: 0) })
            }
        }
        func linear(_ stored: LinearWeights) throws -> LinearLayer<Device> { try linears([stored])[0] }
        func norm(_ stored: StoredTensor) throws -> Device.Vector {
            defer { done(stored.bytes.count) }
            return try backend.makeVector(stored, offset: offset)
        }
        embedding = try backend.makeEmbeddingTable(weights.embedding)
        done(weights.embedding.bytes.count)
        layers = try weights.layers.map { layer in
            Layer(
                attentionNorm: try norm(layer.attentionNorm),
                projections: try linears([layer.query, layer.key, layer.value]),
                queryNorm: try layer.queryNorm.map(norm), keyNorm: try layer.keyNorm.map(norm),
                output: try linear(layer.output), postAttentionNorm: try layer.postAttentionNorm.map(norm),
                feedForwardNorm: try norm(layer.feedForwardNorm),
                gateAndUp: try linears([layer.gate, layer.up]), down: try linear(layer.down),
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
        func activations(_ widths: [Int]) throws -> [Device.Activation] {
            try backend.makeActivations(rowCapacity: tokenCount, widths: widths)
        }
        let queryWidth = config.headCount * config.headDimension
        let keyWidth = config.keyValueHeadCount * config.headDimension
        return Workspace(
            hidden: try activation(config.hiddenSize), branch: try activation(config.hiddenSize),
            projections: try activations([queryWidth, keyWidth, keyWidth]), attended: try activation(queryWidth),
            gateAndUp: try activations([config.feedForwardSize, config.feedForwardSize]))
    }

    /// Computes one step: keys and values of all its tokens into `cache`, scores of the wanted ones into `logits`
    /// (M, V), and the wanted last hidden states, after the final norm, into `hiddenStates`, rows of E.
    public func forward(
        _ batch: ForwardBatch, cache: Device.KVCache, workspace: Workspace, logits: Device.Activation,
        hiddenStates: Device.Activation? = nil
    ) throws {
        let results = [logits] + (hiddenStates.map { [$0] } ?? [])
        try backend.perform(batch, into: results) {
            try computeHidden(cache: cache, workspace)
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
    }

    /// All layers: the residual stream of the step's tokens, keys and values into the cache.
    private func computeHidden(cache: Device.KVCache, _ workspace: Workspace) throws {
        try backend.embed(embedding, scale: config.embeddingScale, into: workspace.hidden)
        if let first = layers.first {
            try backend.rmsNorm(
                workspace.hidden, weight: first.attentionNorm, slot: slots.norm(.attention, layer: 0),
                epsilon: config.normEpsilon, into: workspace.branch)
        }
        for (index, layer) in layers.enumerated() {
            try attend(layer, index: index, cache: cache, workspace)
            try addBranch(
                postNorm: layer.postAttentionNorm.map { ($0, slots.norm(.postAttention, layer: index)) },
                nextNorm: (layer.feedForwardNorm, slots.norm(.feedForward, layer: index)), workspace)
            try feedForward(layer, index: index, workspace)
            let next = index + 1
            try addBranch(
                postNorm: layer.postFeedForwardNorm.map { ($0, slots.norm(.postFeedForward, layer: index)) },
                nextNorm: next < layers.count
                    ? (layers[next].attentionNorm, slots.norm(.attention, layer: next)) : nil, workspace)
        }
    }

    /// From the normed rows in `branch` to what is added to the residual stream, there too.
    private func attend(_ layer: Layer, index: Int, cache: Device.KVCache, _ workspace: Workspace) throws {
        try backend.linear(
            workspace.branch, layer.projections, slot: slots.linear(.query, layer: index),
            into: workspace.projections)
        let rows = AttentionRows<Device>(
            queries: workspace.projections[0], keys: workspace.projections[1], values: workspace.projections[2],
            headCount: config.headCount, keyValueHeadCount: config.keyValueHeadCount,
            queryNorm: layer.queryNorm.map { ($0, slots.norm(.query, layer: index)) },
            keyNorm: layer.keyNorm.map { ($0, slots.norm(.key, layer: index)) }, epsilon: config.normEpsilon,
            rotary: rotaries[config.layers[index].rotaryIndex])
        try backend.prepare(rows, in: cache, layer: index)
        let parameters = AttentionParameters(
            headCount: config.headCount, softmaxScale: config.softmaxScale, softCap: config.attentionSoftCap,
            slidingWindow: config.layers[index].slidingWindow)
        try backend.attend(rows.queries, over: cache, layer: index, parameters, into: workspace.attended)
        try backend.linear(
            workspace.attended, [layer.output], slot: slots.linear(.output, layer: index), into: [workspace.branch])
    }

    /// The same of the feed-forward part.
    private func feedForward(_ layer: Layer, index: Int, _ workspace: Workspace) throws {
        let (gate, up) = (workspace.gateAndUp[0], workspace.gateAndUp[1])
        try backend.linear(
            workspace.branch, layer.gateAndUp, slot: slots.linear(.gate, layer: index), into: workspace.gateAndUp)
        try backend.gatedActivation(config.activation, gate: gate, up: up, into: gate)
        try backend.linear(gate, [layer.down], slot: slots.linear(.down, layer: index), into: [workspace.branch])
    }

    /// Adds the branch to the residual stream, and leaves there the rows that the next part reads.
    private func addBranch(
        postNorm: (weight: Device.Vector, slot: Int)?, nextNorm: (weight: Device.Vector, slot: Int)?,
        _ workspace: Workspace
    ) throws {
        let (branch, hidden) = (workspace.branch, workspace.hidden)
        if let postNorm {
            try backend.rmsNorm(
                branch, weight: postNorm.weight, slot: postNorm.slot, epsilon: config.normEpsilon, into: branch)
        }
        guard let nextNorm else { return try backend.add(branch, scale: config.residualScale, to: hidden) }
        try backend.addThenNorm(
            branch, scale: config.residualScale, to: hidden, weight: nextNorm.weight, slot: nextNorm.slot,
            epsilon: config.normEpsilon, into: branch)
    }
}
