import ServingTensors

/// Something that any device computes, to be compared with another's.
protocol DeviceCheck: Sendable {
    /// What is checked, for instance `attention 128 x 4, 700 positions`.
    var name: String { get }

    /// What the device makes of the same inputs each time.
    func values<Device: Backend>(on device: Device, _ precision: CheckPrecision) throws -> [Float]
}

/// How a device keeps keys and values in a check.
struct CheckPrecision: Sendable {
    let cache: KVCacheLayout.Element
}

extension Backend {
    /// Begins a step of one sequence whose tokens are 0, 1, 2, ...
    func begin(tokenCount: Int, firstPosition: Int = 0, blockTable: [BlockID] = []) throws {
        try begin(
            ForwardBatch(
                tokenIDs: (0..<tokenCount).map { TokenID($0) },
                sequences: [
                    .init(tokenRange: 0..<tokenCount, firstPosition: firstPosition, blockTable: blockTable)
                ], logitTokenIndices: []))
    }

    /// Given rows as an activation, looked up in a table of them: the step must have tokens 0, 1, 2, ...
    func rows(_ values: StoredTensor, into target: Activation) throws {
        try embed(try makeEmbeddingTable(values), scale: 1, into: target)
    }

    /// An activation with given rows; begins a step of as many tokens.
    func rows(_ values: StoredTensor) throws -> Activation {
        let target = try makeActivation(rowCapacity: values.rowCount, width: values.columnCount)
        try begin(tokenCount: values.rowCount)
        try rows(values, into: target)
        return target
    }

    func values(of activation: Activation) throws -> [Float] { try withRows(of: activation) { Array($0) } }
}
