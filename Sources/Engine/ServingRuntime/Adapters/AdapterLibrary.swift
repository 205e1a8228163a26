public import ServingAdapters
import ServingEngine
import ServingModels
import ServingTensors
import Synchronization

/// The adapters of one loaded model, in tiers: files on disk or a hub, files read and checked, weights on the device.
///
/// Called by servers and commands before they submit a request; the engine sees an adapter only once it is on the
/// device, so a slow load holds up nobody but those who asked for it.
public final class AdapterLibrary: Sendable {
    /// Where adapters come from and how much room they get.
    public struct Options: Sendable {
        /// Leads from ids to folders; nil for a model without adapters.
        public var locator: (any AdapterLocating)?
        /// Bytes of adapters on the device; nil for an eighth of the memory.
        public var deviceBytes: Int?
        /// Bytes of files kept in memory; nil for a sixteenth of the memory, at most `deviceBytes`.
        public var hostBytes: Int?
        /// How long an adapter is used before those that wait for room come first.
        public var cycleTime: Duration
        /// Whether merges are computed as LoRAX computes them.
        public var isLoRAXCompatible: Bool

        /// No adapters.
        public init(
            locator: (any AdapterLocating)? = nil, deviceBytes: Int? = nil, hostBytes: Int? = nil,
            cycleTime: Duration = .seconds(2), isLoRAXCompatible: Bool = false
        ) {
            self.locator = locator
            self.deviceBytes = deviceBytes
            self.hostBytes = hostBytes
            self.cycleTime = cycleTime
            self.isLoRAXCompatible = isLoRAXCompatible
        }
    }

    private typealias Outcome = Result<any ResidentAdapter, AdapterError>

    /// A load under way. Each of those who wait for it is counted as a user of the adapter once it is there.
    private struct Load {
        let outcome = Broadcast<Outcome>()
        var waiterCount = 0
    }

    private struct State {
        var shelf: AdapterShelf
        var host: HostAdapters
        /// Loads under way; who asks for the same waits for it.
        var loads: [AdapterKey: Load] = [:]
        /// Reads under way, by what is read.
        var reads: [Place: Broadcast<Result<AdapterFolder, AdapterError>>] = [:]
        var turns: [AdapterShelf.Ticket: Broadcast<Void>] = [:]
        var statistics = AdapterStatistics()
    }

    private let options: Options
    private let model: ModelDescription
    private let uploader: any AdapterUploading
    private let threads = LoaderThreads()
    /// Bounds what is being read and prepared; a folder's bytes count from before it is read until it is on the device.
    private let gate: LoadGate
    /// Largest file that is read.
    private let fileByteLimit: Int
    private let state: Mutex<State>
    private let clock = ContinuousClock()
    private let origin: ContinuousClock.Instant

    init(model: ModelDescription, uploader: any AdapterUploading, options: Options) {
        self.options = options
        self.model = model
        self.uploader = uploader
        origin = clock.now
        let deviceBytes = options.deviceBytes ?? PhysicalMemory.bytes / 8
        let hostBytes = options.hostBytes ?? min(PhysicalMemory.bytes / 16, deviceBytes)
        gate = LoadGate(capacity: hostBytes)
        // A file in float32 takes up to four times what its updates of quantised layers take on the device.
        fileByteLimit = deviceBytes.multipliedReportingOverflow(by: 4).overflow ? .max : 4 * deviceBytes
        state = Mutex(
            State(
                shelf: AdapterShelf(capacity: deviceBytes, cycleTime: options.cycleTime),
                host: HostAdapters(capacity: hostBytes)))
    }

    /// Bytes that the least of usual adapters takes on a device, at one byte a weight: PEFT's default, rank 8 for
    /// queries and values.
    static func leastDeviceBytes(_ config: DecoderConfig) -> Int {
        let rows = (config.headCount + config.keyValueHeadCount) * config.headDimension
        return config.layerCount * 8 * (2 * config.hiddenSize + rows)
    }

    /// Loads an adapter that stays on the device for good. The others share the room that is left: one that could only
    /// wait for this one's room is refused.
    public func pin(_ selection: AdapterSelection) async throws(AdapterError) -> AdapterLease {
        let lease = try await acquire(selection)
        state.withLock { $0.shelf.pin(lease.key) }
        return lease
    }

    /// Loads an adapter, or finds it loaded; returns when it is on the device.
    ///
    /// Loads of different adapters run beside each other; requests for the same one wait for a single load. Cancelling
    /// the task gives up the wait with `.cancelled`; the load goes on for the others.
    public func acquire(_ selection: AdapterSelection) async throws(AdapterError) -> AdapterLease {
        let start = clock.now
        let places = try await places(of: selection)
        if let (key, adapter) = resident(selection, places) { return lease(key, selection, adapter, since: start) }
        guard let pass = await gate.enter(places.reduce(0) { $0 + $1.fingerprint.tensorByteCount }) else {
            throw Self.cancelled
        }
        defer { withExtendedLifetime(pass) {} }
        var folders: [AdapterFolder] = []
        for place in places { folders.append(try await read(place)) }
        let key = Self.key(selection, zip(places, folders).map { ($0.revision, $1.contentHash) })
        var isNext = false
        while true {
            switch take(key, isNext: isNext) {
            case .wait(let ticket):
                try await waitForTurn(ticket)
                isNext = true
            case .resident(let adapter): return lease(key, selection, adapter, since: start)
            case .absent:
                if let adapter = try await load(key, selection, folders) {
                    return lease(key, selection, adapter, since: start)
                }
            }
        }
    }

    private func take(_ key: AdapterKey, isNext: Bool) -> AdapterShelf.Answer {
        state.withLock { state in
            let answer = state.shelf.take(key, now: clock.now - origin, isNext: isNext)
            if case .wait(let ticket) = answer { state.turns[ticket] = Broadcast() }
            if case .resident = answer { state.statistics.hitCount += 1 }
            return answer
        }
    }

    /// The adapter where it is on the device, nothing has to be read, and nobody comes first.
    private func resident(_ selection: AdapterSelection, _ places: [Place]) -> (AdapterKey, any ResidentAdapter)? {
        let contents = state.withLock { state in
            places.map { ($0.revision, state.host.contentHash($0.folder, fingerprint: $0.fingerprint)) }
        }
        let known = contents.compactMap { revision, hash in hash.map { (revision, $0) } }
        guard known.count == places.count else { return nil }
        let key = Self.key(selection, known)
        let adapter: (any ResidentAdapter)? = state.withLock { state in
            guard state.shelf.waitingCount == 0 || state.shelf.isPinned(key),
                case .resident(let adapter) = state.shelf.take(key, now: clock.now - origin, isNext: true)
            else { return nil }
            state.statistics.hitCount += 1
            return adapter
        }
        return adapter.map { (key, $0) }
    }

    /// A lease on an adapter that the caller was counted as a user of.
    private func lease(
        _ key: AdapterKey, _ selection: AdapterSelection, _ adapter: any ResidentAdapter,
        since start: ContinuousClock.Instant
    ) -> AdapterLease {
        AdapterLease(
            key: key, name: selection.name, adapter: adapter, loadDuration: clock.now - start,
            onEnd: { [self] in release(key) })
    }

    /// What the library holds.
    public func statistics() -> AdapterStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.deviceCount = state.shelf.count
            statistics.deviceBytes = state.shelf.bytes
            statistics.evictionCount = state.shelf.evictionCount
            statistics.hostCount = state.host.count
            statistics.hostBytes = state.host.bytes
            statistics.loadingCount = state.loads.count
            return statistics
        }
    }

    // MARK: The host's tier

    /// A folder as it is right now.
    private struct Place: Hashable {
        let folder: String
        let revision: String?
        let fingerprint: AdapterFingerprint
    }

    private func places(of selection: AdapterSelection) async throws(AdapterError) -> [Place] {
        guard let locator = options.locator else {
            throw AdapterError(.unsupported, "this model is served without adapters")
        }
        if case .merged(let merge) = selection.choice {
            try merge.validate(loraxCompatible: options.isLoRAXCompatible)
        }
        var places: [Place] = []
        for id in selection.ids {
            let location = try await locator.locate(id, source: selection.source, token: selection.token)
            places.append(
                Place(
                    folder: location.folder, revision: location.revision,
                    fingerprint: try AdapterFingerprint(folder: location.folder)))
        }
        return places
    }

    /// Reads a folder, or finds that it was read and has not changed since.
    private func read(_ place: Place) async throws(AdapterError) -> AdapterFolder {
        let path = place.folder
        let (known, read, isFirst) = state.withLock { state in
            if let folder = state.host.find(path, fingerprint: place.fingerprint) {
                return (folder as AdapterFolder?, Broadcast<Result<AdapterFolder, AdapterError>>(), false)
            }
            if let read = state.reads[place] { return (nil, read, false) }
            let read = Broadcast<Result<AdapterFolder, AdapterError>>()
            state.reads[place] = read
            return (nil, read, true)
        }
        if let known { return known }
        if isFirst {
            Task.detached { [self] in
                let result: Result<AdapterFolder, AdapterError> = await threads.run { [fileByteLimit] in
                    Result { () throws(AdapterError) in try AdapterFolder(path: path, byteLimit: fileByteLimit) }
                }
                state.withLock { state in
                    state.reads[place] = nil
                    if case .success(let folder) = result { state.host.keep(folder, path: path) }
                }
                read.send(result)
            }
        }
        guard let result = await read.value() else { throw Self.cancelled }
        return try result.get()
    }

    // MARK: The device's tier

    /// Loads an adapter, or waits for the load under way; the caller is a user of what it returns. nil where another
    /// load has ended since the caller looked.
    private func load(
        _ key: AdapterKey, _ selection: AdapterSelection, _ folders: [AdapterFolder]
    ) async throws(AdapterError) -> (any ResidentAdapter)? {
        let (outcome, isFirst): (Broadcast<Outcome>?, Bool) = state.withLock { state in
            if state.shelf.holds(key) { return (nil, false) }
            let isFirst = state.loads[key] == nil
            var load = state.loads[key] ?? Load()
            load.waiterCount += 1
            state.loads[key] = load
            if isFirst { state.statistics.loadCount += 1 }
            return (load.outcome, isFirst)
        }
        guard let outcome else { return nil }
        if isFirst { Task.detached { [self] in await carryOut(key, selection, folders) } }
        guard let result = await outcome.value() else {
            // The use that is counted for this caller ends as soon as it begins.
            Task.detached { [self] in
                if case .success = await outcome.value() { release(key) }
            }
            throw Self.cancelled
        }
        return try result.get()
    }

    private func carryOut(_ key: AdapterKey, _ selection: AdapterSelection, _ folders: [AdapterFolder]) async {
        let result: Result<Upload, AdapterError>
        do throws(AdapterError) {
            result = .success(try await upload(selection, folders))
        } catch {
            result = .failure(error)
        }
        let (load, turns) = state.withLock { state in
            let load = state.loads.removeValue(forKey: key)
            switch result {
            case .success(let upload):
                state.shelf.put(
                    key, upload.adapter, bytes: upload.bytes, userCount: load?.waiterCount ?? 0,
                    now: clock.now - origin)
            case .failure: state.statistics.failureCount += 1
            }
            return (load, Self.admit(&state))
        }
        for turn in turns { turn.send(()) }
        load?.outcome.send(result.map(\.adapter))
    }

    private struct Upload {
        let adapter: any ResidentAdapter
        let bytes: Int
    }

    /// Puts an adapter on the device, in room that is set aside for it.
    private func upload(
        _ selection: AdapterSelection, _ folders: [AdapterFolder]
    ) async throws(AdapterError) -> Upload {
        let made: Result<AdapterParts, AdapterError> = await threads.run { [self] in
            Result { () throws(AdapterError) in try makeParts(selection, folders) }
        }
        let parts = try made.get()
        let bytes = uploader.byteCount(of: parts)
        let ticket = try state.withLock { (state: inout State) throws(AdapterError) -> AdapterShelf.Ticket? in
            guard state.shelf.canHold(bytes) else {
                throw AdapterError(
                    .outOfMemory,
                    "adapter \"\(selection.name)\" takes \(bytes >> 20) MiB and there is room for "
                        + "\(state.shelf.roomBesidePinned >> 20) MiB (raise --adapter-memory)")
            }
            let ticket = state.shelf.reserve(bytes)
            if let ticket { state.turns[ticket] = Broadcast() }
            return ticket
        }
        if let ticket { try await waitForTurn(ticket) }
        let uploaded: Result<any ResidentAdapter, any Error> = await threads.run { [uploader] in
            Result { try uploader.upload(parts) }
        }
        switch uploaded {
        case .success(let adapter): return Upload(adapter: adapter, bytes: bytes)
        case .failure(let error):
            state.withLock { $0.shelf.cancelReservation(bytes) }
            throw AdapterError(.invalidAdapter, "adapter \"\(selection.name)\": \(error)")
        }
    }

    private func makeParts(_ selection: AdapterSelection, _ folders: [AdapterFolder]) throws(AdapterError)
        -> AdapterParts
    {
        var weights: [AdapterWeights] = []
        for folder in folders { weights.append(try folder.weights(for: model.config, base: model.weights)) }
        switch selection.choice {
        case .single:
            try weights[0].checkServable()
            return AdapterParts(weights[0], of: model.weights)
        case .merged(let merge):
            let merged = try AdapterCombination.combine(
                weights, merge, loraxCompatible: options.isLoRAXCompatible, seed: merge.seed,
                rankLimit: AdapterConfig.ranks.upperBound)
            try merged.checkServable()
            return AdapterParts(merged, of: model.weights)
        }
    }

    private func release(_ key: AdapterKey) {
        let turns = state.withLock { state in
            state.shelf.release(key)
            return Self.admit(&state)
        }
        for turn in turns { turn.send(()) }
    }

    private static func admit(_ state: inout State) -> [Broadcast<Void>] {
        state.shelf.admitted().compactMap { state.turns.removeValue(forKey: $0) }
    }

    private func waitForTurn(_ ticket: AdapterShelf.Ticket) async throws(AdapterError) {
        guard let turn = state.withLock({ $0.turns[ticket] }) else { return }
        guard await turn.value() == nil else { return }
        state.withLock { state in
            state.turns[ticket] = nil
            state.shelf.leave(ticket)
        }
        throw Self.cancelled
    }

    // MARK: Identity

    private static var cancelled: AdapterError { AdapterError(.cancelled, "the request was cancelled") }

    /// Source, tenant, ids, revisions, contents, and how they are merged.
    private static func key(
        _ selection: AdapterSelection, _ members: [(revision: String?, contentHash: AdapterContentHash)]
    ) -> AdapterKey {
        var text = selection.source.rawValue
        if selection.source == .hub, let token = selection.token {
            // Hashed with this process's own key: the token itself is in no key that may be printed.
            var hasher = Hasher()
            hasher.combine(token)
            text += "/\(String(UInt(bitPattern: hasher.finalize()), radix: 16))"
        }
        for (id, member) in zip(selection.ids, members) {
            text += "|\(id)@\(member.revision ?? "")#\(member.contentHash)"
        }
        if case .merged(let merge) = selection.choice {
            text += "|\(merge.strategy.rawValue),\(merge.weights),\(merge.density),\(merge.majoritySignMethod.rawValue)"
            if let rank = merge.svdRank { text += ",\(rank)" }
        }
        return AdapterKey(text)
    }
}

extension AdapterMerge {
    /// The random numbers of a merge follow from what is merged, so that every replica makes the same weights (FNV-1a).
    var seed: UInt64 {
        "\(ids),\(weights),\(density)".utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
