import CCUDAHeaders
import ServingTensors

/// What a step's kernels read about its tokens, brought to the device in one copy.
struct StepInputs {
    /// T, with the rows that a recorded step computes for nothing.
    private(set) var tokenCount = 0
    /// Tokens of the batch.
    var batchTokenCount: Int { tokenIDs.count }
    /// Each sequence's positions up to the end of its run, and its blocks.
    private(set) var extents: [(positions: Int, blocks: Int)] = []
    /// What each of the step's sequences is computed with.
    private(set) var spans: [Span] = []
    /// What the gathered rows are computed with.
    private(set) var gatheredSpans: [Span] = []
    private(set) var tokenIDs: [TokenID] = []
    /// Whether the gathered rows are all rows of the step, in their order.
    private(set) var gatheredAsTheyAre = false
    /// Rows whose logits are wanted.
    private(set) var wantedRows: [Int] = []
    /// The same with the rows of no token.
    private(set) var logitRows: [Int] = []
    /// Runs of the batch.
    private(set) var runs: [Range<Int>] = []

    /// Rows that follow one another with one adapter.
    struct Span {
        var rows: Range<Int>
        let adapter: CUDAAdapter
    }

    private let device: CUDADevice
    /// Two, used in turn: one may still be read while the next step's is written.
    private var hosts: [(memory: PinnedMemory, isRead: StreamMark)] = []
    private var turn = 0
    private var memory: DeviceMemory?
    /// Offsets of the arrays.
    private var offsets = Offsets()

    private struct Offsets {
        var tokens = 0
        var positions = 0
        var sequences = 0
        var logitRows = 0
        var tokenSources = 0
        var groups = 0
        var updates = 0
        var shortUpdates = 0
        var tableStarts = 0
        var tables = 0
        var end = 0
    }

    /// Rows with one adapter from which on whole products serve better than kernels that read it once for a few rows.
    static let longSpan = 64
    /// Rows with one adapter that kernels do together; as in lora.cu.
    static let groupLimit = 8

    init(_ device: CUDADevice) { self.device = device }

    var tokens: cuda_address { address(offsets.tokens) }
    var positions: cuda_address { address(offsets.positions) }
    var sequences: cuda_address { address(offsets.sequences) }
    var tableStarts: cuda_address { address(offsets.tableStarts) }
    var tables: cuda_address { address(offsets.tables) }
    /// For each token the draw that chooses it.
    var tokenSources: cuda_address { address(offsets.tokenSources) }
    /// The rows of the step whose logits are wanted.
    var gatheredRows: cuda_address { address(offsets.logitRows) }
    /// Each token's adapter's updates, or null; nil where no token has an adapter.
    var updates: cuda_address? { spans.isEmpty ? nil : address(offsets.updates) }
    /// For each row how many from it on are done together with its adapter.
    var groups: cuda_address { address(offsets.groups) }
    /// The same, null for tokens of long spans.
    var shortUpdates: cuda_address? { spans.isEmpty ? nil : address(offsets.shortUpdates) }

    /// Where the copy lies; another place than before where it had to grow.
    var place: cuda_address { address(0) }

    private func address(_ offset: Int) -> cuda_address { (memory?.address ?? 0) + cuda_address(offset) }

    /// Takes a batch over and puts its copy on the stream.
    ///
    /// - Parameter rowCount: How many rows the step has; those beyond the batch's tokens are of no token, at position -1.
    /// - Throws: `.invalid` where the batch's runs or blocks are not as they must be.
    mutating func begin(_ batch: ForwardBatch, rowCount: Int) throws(CUDAError) {
        tokenIDs = batch.tokenIDs
        tokenCount = max(rowCount, batch.tokenIDs.count)
        spans = []
        gatheredSpans = []
        extents = []
        wantedRows = batch.logitTokenIndices
        logitRows = wantedRows + Array(batch.tokenIDs.count..<tokenCount)
        runs = batch.sequences.map(\.tokenRange)
        let tableCount = batch.sequences.reduce(0) { $0 + $1.blockTable.count }
        offsets = Self.layOut(
            tokens: tokenCount, sequences: max(tokenCount, batch.sequences.count), tables: tableCount)
        try reserve()
        guard let memory, hosts.count == 2 else { throw CUDAError(.outOfMemory, "no memory for a step's tokens") }
        turn = 1 - turn
        let (host, isRead) = hosts[turn]
        try isRead.wait()
        func ints(_ offset: Int) -> UnsafeMutablePointer<Int32> {
            (host.base + offset).assumingMemoryBound(to: Int32.self)
        }
        func words(_ offset: Int) -> UnsafeMutablePointer<UInt64> {
            (host.base + offset).assumingMemoryBound(to: UInt64.self)
        }
        let (tokens, positions, sequences) = (
            ints(offsets.tokens), ints(offsets.positions), ints(offsets.sequences)
        )
        let (updates, shortUpdates) = (words(offsets.updates), words(offsets.shortUpdates))
        let groups = ints(offsets.groups)
        for row in 0..<tokenCount {
            tokens[row] = row < tokenIDs.count ? Int32(tokenIDs[row]) : 0
            positions[row] = -1
            sequences[row] = 0
            updates[row] = 0
            shortUpdates[row] = 0
            groups[row] = 0
        }
        for (place, source) in batch.tokenSources.enumerated() {
            guard place < tokenCount else { break }
            ints(offsets.tokenSources)[place] = Int32(source)
        }
        for (place, row) in logitRows.enumerated() { ints(offsets.logitRows)[place] = Int32(row) }
        let tables = ints(offsets.tables)
        var (expected, table) = (0, 0)
        for (number, sequence) in batch.sequences.enumerated() {
            let range = sequence.tokenRange
            guard range.lowerBound == expected, range.upperBound <= tokenIDs.count, sequence.firstPosition >= 0,
                sequence.firstPosition <= Int(Int32.max) - range.count
            else { throw CUDAError(.invalid, "the runs of a batch must follow one another from position 0 on") }
            expected = range.upperBound
            ints(offsets.tableStarts)[number] = Int32(table)
            for block in sequence.blockTable {
                tables[table] = block
                table += 1
            }
            for row in range {
                positions[row] = Int32(sequence.firstPosition + row - range.lowerBound)
                sequences[row] = Int32(number)
            }
            extents.append((sequence.firstPosition + range.count, sequence.blockTable.count))
            guard let resident = sequence.adapter, !range.isEmpty else { continue }
            guard let adapter = resident as? CUDAAdapter else {
                throw CUDAError(.invalid, "the batch has an adapter of another device")
            }
            if let last = spans.last, last.adapter === adapter, last.rows.upperBound == range.lowerBound {
                spans[spans.count - 1].rows = last.rows.lowerBound..<range.upperBound
            } else {
                spans.append(Span(rows: range, adapter: adapter))
            }
        }
        // Single tokens are done by kernels however many there are: recorded steps must not depend on it.
        let isDecoding = runs.count == tokenIDs.count
        for span in spans {
            let isShort = isDecoding || span.rows.count < Self.longSpan
            for row in span.rows {
                updates[row] = span.adapter.updates
                shortUpdates[row] = isShort ? span.adapter.updates : 0
            }
        }
        for (row, count) in Self.groups(spans) { groups[row] = Int32(count) }
        guard expected == tokenIDs.count else {
            throw CUDAError(.invalid, "\(tokenIDs.count) tokens, but sequences of \(expected)")
        }
        let driver = device.libraries.driver
        try driver.check(
            driver.copy_to_device(memory.address, host.base, offsets.end, device.stream), "copying a step's tokens")
        try isRead.record()
    }

    /// Whether a span is done by whole products.
    func isLong(_ span: Span) -> Bool { span.rows.count >= Self.longSpan && runs.count != tokenIDs.count }

    /// First rows of groups, and how many rows each has.
    static func groups(_ spans: [Span]) -> [(row: Int, count: Int)] {
        spans.flatMap { span in
            stride(from: span.rows.lowerBound, to: span.rows.upperBound, by: groupLimit).map { first in
                (first, min(groupLimit, span.rows.upperBound - first))
            }
        }
    }

    /// The rows in groups of at most `size` that follow one another in a sequence: first row * 32 + rows.
    func tiles(of size: Int) -> [Int32] {
        runs.flatMap { run in
            stride(from: run.lowerBound, to: run.upperBound, by: size).map { first in
                Int32(first * 32 + min(size, run.upperBound - first))
            }
        }
    }

    /// Fails where a sequence reaches beyond its blocks in a cache.
    func check(_ layout: KVCacheLayout) throws(CUDAError) {
        let isWithin = extents.allSatisfy { $0.positions <= $0.blocks * layout.positionsPerBlock }
        guard isWithin else { throw CUDAError(.invalid, "a sequence reaches beyond its KV blocks") }
    }

    /// Takes down which gathered rows have which adapter; `rows` ascend.
    mutating func gather(_ rows: [Int]) {
        gatheredSpans = []
        gatheredAsTheyAre = rows.count == tokenCount
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
        offsets.logitRows = take(tokens, 4)
        offsets.tokenSources = take(tokens, 4)
        offsets.groups = take(tokens, 4)
        offsets.updates = take(tokens, 8)
        offsets.shortUpdates = take(tokens, 8)
        offsets.tableStarts = take(sequences, 4)
        // Last, since it is what grows while a sequence does.
        offsets.tables = take(tables, 4)
        return offsets
    }

    private mutating func reserve() throws(CUDAError) {
        if let memory, memory.byteCount >= offsets.end { return }
        let bytes = max(1 << 20, 2 * offsets.end)
        // What replaces the memory must not come before the work that uses it is done.
        if memory != nil { try device.synchronize() }
        let fresh = try DeviceMemory(device, byteCount: bytes, purpose: "a step's tokens")
        var freshHosts: [(memory: PinnedMemory, isRead: StreamMark)] = []
        for _ in 0..<2 {
            freshHosts.append(
                (try PinnedMemory(device, byteCount: bytes, purpose: "a step's tokens"), try StreamMark(device)))
        }
        (memory, hosts) = (fresh, freshHosts)
    }
}
