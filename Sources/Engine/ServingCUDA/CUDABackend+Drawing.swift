import CCUDAHeaders
public import ServingTensors

/// Tokens chosen on the device: only their ids cross the bus.
extension CUDABackend {
    /// It does.
    public var drawsTokens: Bool { true }

    /// Chooses a token from each draw's row; see ``Backend``.
    public func draw(_ draws: [TokenDraw], from logits: CUDAActivation) throws -> [TokenDraw.Outcome] {
        try device.activate()
        try unpack(logits)
        guard !draws.isEmpty else { return [] }
        guard draws.allSatisfy({ (0..<logits.rowCount).contains($0.row) }), logits.stride == logits.width else {
            throw CUDAError(.invalid, "draws from rows \(draws.map(\.row)) of \(logits.rowCount)")
        }
        let image = DrawImage(draws)
        let address = try reserve(image.byteCount, in: &drawScratch, purpose: "choosing tokens")
        let host = try drawHost(image.byteCount)
        image.write(to: host.base)
        let driver = device.libraries.driver
        try driver.check(
            driver.copy_to_device(address, host.base, image.byteCount, device.stream), "copying draws")
        try kernels.sample.launch(
            .init(x: draws.count), threads: 1024, .address(logits.rows), .int(logits.width), .address(address),
            .address(address + cuda_address(image.adjustmentOffset)),
            .address(address + cuda_address(image.tokenOffset)))
        try driver.check(
            driver.copy_to_host(
                host.base + image.tokenOffset, address + cuda_address(image.tokenOffset), draws.count * 4,
                device.stream), "copying tokens")
        try device.synchronize()
        let tokens = (host.base + image.tokenOffset).assumingMemoryBound(to: Int32.self)
        return draws.indices.map { index in
            switch tokens[index] {
            case -1: .noCandidate
            case -2: .invalidScore
            default: .token(TokenID(tokens[index]))
            }
        }
    }

    private func drawHost(_ byteCount: Int) throws(CUDAError) -> PinnedMemory {
        if let drawMemory, drawMemory.byteCount >= byteCount { return drawMemory }
        let made = try PinnedMemory(device, byteCount: max(1 << 16, 2 * byteCount), purpose: "choosing tokens")
        drawMemory = made
        return made
    }
}

/// Draws as sample.cu has them: the draws, then all their adjustments, then room for the tokens.
private struct DrawImage {
    let draws: [TokenDraw]
    let adjustmentOffset: Int
    let tokenOffset: Int
    let byteCount: Int
    /// Bytes of the kernel's `Draw` and `Adjustment`.
    private static let (drawBytes, adjustmentBytes) = (40, 16)

    init(_ draws: [TokenDraw]) {
        self.draws = draws
        adjustmentOffset = (draws.count * Self.drawBytes + 15) / 16 * 16
        tokenOffset = adjustmentOffset + draws.reduce(0) { $0 + $1.adjustments.count } * Self.adjustmentBytes
        byteCount = tokenOffset + draws.count * 4
    }

    func write(to target: UnsafeMutableRawPointer) {
        var adjustment = 0
        for (index, draw) in draws.enumerated() {
            let place = target + index * Self.drawBytes
            func put<Value: BitwiseCopyable>(_ value: Value, _ offset: Int) {
                place.storeBytes(of: value, toByteOffset: offset, as: Value.self)
            }
            put(draw.fraction, 0)
            put(Int32(draw.row), 8)
            put(Int32(adjustment), 12)
            put(Int32(draw.adjustments.count), 16)
            put(Int32(clamping: draw.topK), 20)
            put(draw.temperature, 24)
            put(draw.topP, 28)
            put(draw.minP, 32)
            put(draw.typicalP, 36)
            for change in draw.adjustments {
                let place = target + adjustmentOffset + adjustment * Self.adjustmentBytes
                place.storeBytes(of: Int32(change.token), as: Int32.self)
                place.storeBytes(of: change.bias, toByteOffset: 4, as: Float.self)
                place.storeBytes(of: change.penalty, toByteOffset: 8, as: Float.self)
                place.storeBytes(of: change.minus, toByteOffset: 12, as: Float.self)
                adjustment += 1
            }
        }
    }
}
