import CCUDAHeaders
public import ServingTensors

/// Tokens chosen on the device: only their ids cross the bus.
extension CUDABackend {
    /// It does.
    public var drawsTokens: Bool { true }

    /// Puts the choice of tokens on the stream; see ``Backend``.
    public func launchDraws(_ draws: [TokenDraw], from logits: CUDAActivation) throws {
        try device.activate()
        try unpack(logits)
        guard draws.allSatisfy({ (0..<logits.rowCount).contains($0.row) }), logits.stride == logits.width,
            logits.width <= TokenDraw.vocabularyLimit
        else {
            throw CUDAError(.invalid, "draws from rows \(draws.map(\.row)) of \(logits.rowCount)")
        }
        guard pendingDraws.count < 2 else { throw CUDAError(.invalid, "two steps' draws are under way") }
        let image = DrawImage(draws)
        let address = try reserve(max(image.byteCount, 1 << 16), in: &drawScratch, purpose: "choosing tokens")
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
        let done = try StreamMark(device)
        try done.record()
        lastDrawn = (address + cuda_address(image.tokenOffset), draws.count)
        pendingDraws.append(
            PendingDraws(done: done, host: host, tokenOffset: image.tokenOffset, count: draws.count))
    }

    /// Waits for draws; see ``Backend``.
    public func collectDraws() throws -> [TokenDraw.Outcome] {
        guard !pendingDraws.isEmpty else { throw CUDAError(.invalid, "no draws are under way") }
        let draws = pendingDraws.removeFirst()
        drawHosts.append(draws.host)
        try device.activate()
        try draws.done.wait()
        let tokens = (draws.host.base + draws.tokenOffset).assumingMemoryBound(to: Int32.self)
        return (0..<draws.count).map { index in
            switch tokens[index] {
            case -1: .noCandidate
            case -2: .invalidScore
            default: .token(TokenID(tokens[index]))
            }
        }
    }

    /// Waits for the device and forgets all draws.
    public func discardDraws() {
        if (try? device.activate()) != nil { try? device.synchronize() }
        drawHosts += pendingDraws.map(\.host)
        pendingDraws = []
        lastDrawn = nil
    }

    /// Memory that no draws under way use.
    private func drawHost(_ byteCount: Int) throws(CUDAError) -> PinnedMemory {
        if let place = drawHosts.firstIndex(where: { $0.byteCount >= byteCount }) { return drawHosts.remove(at: place) }
        drawHosts = []
        return try PinnedMemory(device, byteCount: max(1 << 16, 2 * byteCount), purpose: "choosing tokens")
    }

    /// Gives the step's tokens those that the draws before it choose.
    func takeDrawnTokens(_ sources: [Int]) throws(CUDAError) {
        guard let lastDrawn, sources.allSatisfy({ (0..<lastDrawn.count).contains($0) }),
            sources.count == step.batchTokenCount
        else { throw CUDAError(.invalid, "tokens of draws that there are not") }
        try kernels.takeTokens.launch(
            .init(x: (sources.count + 255) / 256), threads: 256, .address(lastDrawn.address),
            .address(step.tokenSources), .address(step.tokens), .int(sources.count))
    }
}

/// Draws that the device makes.
struct PendingDraws {
    let done: StreamMark
    let host: PinnedMemory
    let tokenOffset: Int
    let count: Int
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
