import CCUDAHeaders
import CServingKernels
import ServingTensors

/// An adapter's updates one after another, as they will lie in the device's memory.
struct UpdateImage {
    private(set) var bytes: [UInt8] = []
    private let element: WeightElement

    init(element: WeightElement) { self.element = element }

    /// `Update` of lora.cu, with offsets into the image where that has pointers.
    struct Update {
        var a: Int?
        var b: Int?
        var gain: Int?
        var offset: Int?
        var scaling: Float = 0
        var rank = 0

        static let none = Update()
        /// Four pointers, a float and an int.
        static let byteCount = 40

        var isNone: Bool { rank == 0 && gain == nil && offset == nil }

        func linear(at base: cuda_address) -> CUDAAdapter.Linear {
            CUDAAdapter.Linear(
                a: base + UInt64(a ?? 0), b: base + UInt64(b ?? 0), gain: gain.map { base + UInt64($0) },
                offset: offset.map { base + UInt64($0) }, scaling: scaling, rank: rank)
        }

        func words(from base: cuda_address) -> [UInt64] {
            [a, b, gain, offset].map { $0.map { base + UInt64($0) } ?? 0 }
                + [UInt64(scaling.bitPattern) | UInt64(UInt32(rank)) << 32]
        }
    }

    /// Adds all that is done to a layer, but for a whole weight.
    mutating func append(_ part: AdapterParts.Linear) throws(CUDAError) -> Update {
        var update =
            try part.update.lowRank.map { lowRank throws(CUDAError) in
                try append(lowRank: lowRank)
            } ?? Update.none
        let gain = try part.update.magnitude.map { magnitude throws(CUDAError) in
            try Self.gain(part, magnitude: magnitude.floats())
        }
        if let gain { update.gain = append(gain) }
        let hasOffset =
            part.update.bias != nil || part.update.lowRank?.bias != nil || gain != nil && part.bias != nil
        if hasOffset { update.offset = append(Self.offset(part, gain: gain)) }
        return update
    }

    /// Adds the two factors.
    mutating func append(lowRank: LowRankUpdate) throws(CUDAError) -> Update {
        guard lowRank.rank <= CUDAAdapter.rankLimit else {
            throw CUDAError(
                .invalid,
                "\(lowRank.loraA.name) has rank \(lowRank.rank); at most \(CUDAAdapter.rankLimit) is supported")
        }
        var update = Update.none
        update.a = append(encoded: lowRank.loraA)
        update.b = append(encoded: lowRank.loraB)
        update.scaling = lowRank.scaling
        update.rank = lowRank.rank
        return update
    }

    private mutating func append(_ floats: [Float]) -> Int {
        let place = bytes.count
        floats.withUnsafeBytes { bytes.append(contentsOf: $0) }
        align()
        return place
    }

    /// Adds rows that begin at multiples of 8 elements.
    private mutating func append(encoded tensor: StoredTensor) -> Int {
        let (place, width) = (bytes.count, tensor.columnCount)
        let rowBytes = Self.rowBytes(width, element)
        bytes.append(contentsOf: repeatElement(0, count: tensor.rowCount * rowBytes))
        let floats = tensor.floats()
        bytes.withUnsafeMutableBytes { target in
            guard let start = target.baseAddress else { return }
            floats.withUnsafeBufferPointer { values in
                for row in 0..<tensor.rowCount {
                    element.encode(
                        UnsafeBufferPointer(rebasing: values[row * width..<(row + 1) * width]),
                        to: start + place + row * rowBytes)
                }
            }
        }
        align()
        return place
    }

    /// Bytes of a row of a low-rank factor.
    static func rowBytes(_ width: Int, _ element: WeightElement) -> Int { (width + 7) / 8 * 8 * element.byteCount }

    private mutating func align() {
        bytes.append(contentsOf: repeatElement(0, count: (16 - bytes.count % 16) % 16))
    }

    /// DoRA's m / |W + scaling B A|, (out).
    private static func gain(
        _ part: AdapterParts.Linear, magnitude: [Float]
    ) throws(CUDAError) -> [Float] {
        let weight = part.update.weight ?? part.weight
        let (rows, columns) = (weight.rowCount, weight.columnCount)
        var norms = [Float](repeating: 0, count: rows)
        let isDone = sk_update_norms(
            sk_kernels_select(nil), weight.type.rawValue,
            weight.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), weight.bytesPerRow,
            part.update.lowRank?.loraA.floats() ?? [], part.update.lowRank?.loraB.floats() ?? [],
            Int32(part.update.lowRank?.rank ?? 0), Int32(columns), Int32(rows), part.update.lowRank?.scaling ?? 0,
            &norms)
        guard isDone else { throw CUDAError(.outOfMemory, "no memory for the norms of \(part.weight.name)") }
        // A row of zeros stays one: nothing divides by zero.
        return zip(magnitude, norms).map { $1 > 0 ? $0 / $1 : 0 }
    }

    /// What is added after the gain: the bias that is to be there in the end, less what the gain makes of the model's own.
    private static func offset(_ part: AdapterParts.Linear, gain: [Float]?) -> [Float] {
        let own = part.bias?.floats()
        let wanted = part.update.bias?.floats() ?? own
        let added = part.update.lowRank?.bias?.floats()
        let scaling = part.update.lowRank?.scaling ?? 0
        return (0..<part.weight.rowCount).map { row in
            let factor = gain?[row] ?? 1
            return (wanted?[row] ?? 0) - factor * (own?[row] ?? 0) + factor * scaling * (added?[row] ?? 0)
        }
    }
}
