import CCUDAHeaders
import ServingTensors

/// What a step's kernels read about its tokens, brought to the device in one copy.
struct StepInputs {
    /// T.
    private(set) var tokenCount = 0
    /// Each sequence's positions up to the end of its run, and its blocks.
    private(set) var extents: [(positions: Int, blocks: Int)] = []
    /// What each of the step's sequences is computed with.
    private(set) var spans: [Span] = []
    /// What the gathered rows are computed with.
    private(set) var gatheredSpans: [Span] = []
    private(set) var tokenIDs: [TokenID] = []

    /// Rows that follow one another with one adapter.
    struct Span {
        var rows: Range<Int>
        let adapter: CUDAAdapter
    }

    private let device: CUDADevice
    private var host: PinnedMemory?
    private var memory: DeviceMemory?
    /// Offsets of the arrays.
    private var offsets = Offsets()

    private struct Offsets {
        var tokens = 0
        var positions = 0
        var sequences = 0
        var tableStarts = 0
        var tables = 0
        var updates = 0
        var end = 0
    }

    init(_ device: CUDADevice) { self.device = device }

    var tokens: cuda_address { address(offsets.tokens) }
    var positions: cuda_address { address(offsets.positions) }
    var sequences: cuda_address { address(offsets.sequences) }
    var tableStarts: cuda_address { address(offsets.tableStarts) }
    var tables: cuda_address { address(offsets.tables) }
    /// Each token's adapter's updates, or null; nil where no token has an adapter.
    var updates: cuda_address? { spans.isEmpty ? nil : address(offsets.updates) }

    private func address(_ offset: Int) -> cuda_address { (memory?.address ?? 0) + cuda_address(offset) }

    /// Takes a batch over and puts its copy on the stream. All earlier work must be done.
    ///
    /// - Throws: `.invalid` where the batch's runs or blocks are not as they must be.
    mutating func begin(_ batch: ForwardBatch) throws(CUDAError) {
        tokenIDs = batch.tokenIDs
        tokenCount = batch.tokenIDs.count
        spans = []
        gatheredSpans = []
        extents = []
        let tableCount = batch.sequences.reduce(0) { $0 + $1.blockTable.count }
        offsets = Self.layOut(tokens: tokenCount, sequences: batch.sequences.count, tables: tableCount)
        try reserve()
        guard let host, let memory else { return }
        func ints(_ offset: Int) -> UnsafeMutablePointer<Int32> {
            (host.base + offset).assumingMemoryBound(to: Int32.self)
        }
        let updates = (host.base + offsets.updates).assumingMemoryBound(to: UInt64.self)
        for (index, token) in batch.tokenIDs.enumerated() {
            ints(offsets.tokens)[index] = Int32(token)
            updates[index] = 0
        }
        var (expected, table) = (0, 0)
        for (number, sequence) in batch.sequences.enumerated() {
            let range = sequence.tokenRange
            guard range.lowerBound == expected, range.upperBound <= tokenCount, sequence.firstPosition >= 0,
                sequence.firstPosition <= Int(Int32.max) - range.count
            else { throw CUDAError(.invalid, "the runs of a batch must follow one another from position 0 on") }
            expected = range.upperBound
            ints(offsets.tableStarts)[number] = Int32(table)
            for block in sequence.blockTable {
                ints(offsets.tables)[table] = block
                table += 1
            }
            for row in range {
                ints(offsets.positions)[row] = Int32(sequence.firstPosition + row - range.lowerBound)
                ints(offsets.sequences)[row] = Int32(number)
            }
            extents.append((sequence.firstPosition + range.count, sequence.blockTable.count))
            guard let resident = sequence.adapter, !range.isEmpty else { continue }
            guard let adapter = resident as? CUDAAdapter else {
                throw CUDAError(.invalid, "the batch has an adapter of another device")
            }
            spans.append(Span(rows: range, adapter: adapter))
            for row in range { updates[row] = adapter.updates }
        }
        guard expected == tokenCount else {
            throw CUDAError(.invalid, "\(tokenCount) tokens, but sequences of \(expected)")
        }
        let driver = device.libraries.driver
        try driver.check(
            driver.copy_to_device(memory.address, host.base, offsets.end, device.stream), "copying a step's tokens")
    }

    /// Fails where a sequence reaches beyond its blocks in a cache.
    func check(_ layout: KVCacheLayout) throws(CUDAError) {
        let isWithin = extents.allSatisfy { $0.positions <= $0.blocks * layout.positionsPerBlock }
        guard isWithin else { throw CUDAError(.invalid, "a sequence reaches beyond its KV blocks") }
    }

    /// Takes down which gathered rows have which adapter; `rows` ascend.
    mutating func gather(_ rows: [Int]) {
        gatheredSpans = []
        for (place, row) in rows.enumerated() {
            guard let span = spans.first(where: { $0.rows.contains(row) }) else { continue }
            if let last = gatheredSpans.last, last.adapter === span.adapter, last.rows.upperBound == place {
                gatheredSpans[gatheredSpans.count - 1].rows = last.rows.lowerBound..<(place + 1)
            } else {
                gatheredSpans.append(Span(rows: place..<(place + 1), adapter: span.adapter))
            }
        }
    }

    private static func layOut(tokens: Int, sequences: Int, tables: Int) -> Offsets {
        var offsets = Offsets()
        func take(_ count: Int, _ bytes: Int) -> Int {
            defer { offsets.end += (count * bytes + 15) / 16 * 16 }
            return offsets.end
        }
        offsets.tokens = take(tokens, 4)
        offsets.positions = take(tokens, 4)
        offsets.sequences = take(tokens, 4)
        offsets.tableStarts = take(sequences, 4)
        offsets.tables = take(tables, 4)
        offsets.updates = take(tokens, 8)
        return offsets
    }

    private mutating func reserve() throws(CUDAError) {
        guard host.map({ $0.byteCount < offsets.end }) ?? true else { return }
        let bytes = max(1 << 16, 2 * offsets.end)
        memory = try DeviceMemory(device, byteCount: bytes, purpose: "a step's tokens")
        host = try PinnedMemory(device, byteCount: bytes, purpose: "a step's tokens")
    }
}
