import ServingModels
import ServingTensors

/// A small model of random weights: a prompt, then tokens one by one for several sequences, with adapters.
struct RandomModelCheck: DeviceCheck {
    var ranks: [Int] = []
    var name: String { "random model, decoding" + (ranks.isEmpty ? "" : ", ranks \(ranks)") }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        let model = RandomModel(.tiny, contextLength: 64)
        let config = model.description.config
        var options = DecoderRunner<Device>.Options(
            keyValueBytes: 0, keyValueElement: precision.cache, maxBatchedTokens: 64)
        options.keyValueBytes = 24 * DecoderRunner<Device>.bytesPerBlock(config, options)
        let runner = try DecoderRunner(
            model: DecoderModel(config: config, weights: model.description.weights, backend: device),
            backend: device, options: options)
        let uploader = device.makeUploader()
        let adapters = try ranks.map { try uploader.upload(model.adapter(rank: $0)) }
        var random = RandomNumbers(seed: 5)
        let sequenceCount = 3
        var values: [Float] = []
        // A prompt of 17 tokens each, then single ones: the first steps are launched, later ones replayed.
        for count in [17, 1, 1, 1, 1] {
            let position = values.isEmpty ? 0 : 16 + steps(values, config, sequenceCount)
            var batch = ForwardBatch(tokenIDs: [], sequences: [], logitTokenIndices: [])
            for sequence in 0..<sequenceCount {
                let first = batch.tokenIDs.count
                batch.tokenIDs += (0..<count).map { _ in TokenID(random.index(below: config.vocabularyCount)) }
                batch.sequences.append(
                    .init(
                        tokenRange: first..<first + count, firstPosition: position,
                        blockTable: (0..<4).map { BlockID(sequence + 5 * $0) },
                        adapter: adapters.isEmpty || sequence == 0 ? nil : adapters[sequence % adapters.count]))
                batch.logitTokenIndices.append(first + count - 1)
            }
            values += Array(try runner.forward(batch).scores)
        }
        return values
    }

    /// Steps that so many values are of.
    private func steps(_ values: [Float], _ config: DecoderConfig, _ sequenceCount: Int) -> Int {
        values.count / (config.vocabularyCount * sequenceCount)
    }
}

/// A model from files: the logits of a text's last token.
struct ModelCheck: DeviceCheck {
    let model: ModelDescription
    let tokenIDs: [TokenID]
    var name: String { "\(model.config.architecture), \(tokenIDs.count) tokens" }

    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float] {
        var options = DecoderRunner<Device>.Options(
            keyValueBytes: 0, keyValueElement: precision.cache, maxBatchedTokens: tokenIDs.count)
        options.keyValueBytes =
            DecoderRunner<Device>.bytesPerBlock(model.config, options) * ((model.config.contextLength + 15) / 16)
        let runner = try DecoderRunner(
            model: DecoderModel(config: model.config, weights: model.weights, backend: device), backend: device,
            options: options)
        let rows = try runner.forward(
            ForwardBatch(
                tokenIDs: tokenIDs,
                sequences: [
                    .init(
                        tokenRange: tokenIDs.indices, firstPosition: 0,
                        blockTable: (0..<(tokenIDs.count + 15) / 16).map { BlockID($0) })
                ], logitTokenIndices: [tokenIDs.count - 1]))
        return Array(rows[0])
    }
}
