import BlockingThreads
internal import ServingAdapters
import Synchronization

/// Fetches adapters from one hub into a cache: each once however many want it, a few at a time, in threads of their
/// own.
///
/// ```
/// <cache>/<hash of hub and token>/<hash of owner/name@revision>/...    as in a ModelStore
/// ```
/// A copy serves those alone who could have fetched it: each token has a folder of its own, and after a minute the hub
/// is asked again, with that token, whether it may still be had and whether there is a newer commit.
final class AdapterFetcher: Sendable {
    typealias Outcome = Result<AdapterLocation, AdapterError>

    private struct Key: Hashable {
        let tenant: String
        let reference: String
    }

    private struct Job {
        let number: UInt64
        let cancellation = CancellationFlag()
        let reference: HubReference
        let client: HubClient
        var waiters: [UInt64: CheckedContinuation<Outcome, Never>] = [:]
    }

    private struct Known {
        let location: AdapterLocation
        let checkedAt: ContinuousClock.Instant
    }

    private struct State {
        var jobs: [Key: Job] = [:]
        /// Jobs that have no thread yet, in the order in which they came.
        var queue: [Key] = []
        var runningCount = 0
        var known: [Key: Known] = [:]
        var lastNumber: UInt64 = 0

        mutating func nextNumber() -> UInt64 {
            lastNumber += 1
            return lastNumber
        }
    }

    private let client: HubClient
    private let cache: String
    private let limits: AdapterCacheLimits
    private let onNote: @Sendable (String) -> Void
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    private static let maximumRunning = 16
    private static let maximumKnown = 4096
    /// How long the hub's last word on a repository holds.
    private static let recheckAfter = Duration.seconds(60)

    /// - Parameter onNote: told in a line when an older copy is used because the hub is away.
    init(
        client: HubClient, cache: String, limits: AdapterCacheLimits = AdapterCacheLimits(),
        onNote: @escaping @Sendable (String) -> Void = { _ in },
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.client = client
        self.cache = FileSystem.absolute(cache)
        self.limits = limits
        self.onNote = onNote
        self.now = now
    }

    /// Leads to an adapter's newest commit, fetching what is missing.
    /// - Parameter token: nil for that of the client.
    func locate(_ reference: HubReference, token: String?) async throws(AdapterError) -> AdapterLocation {
        let client: HubClient
        do {
            client =
                try token.map { (token) throws(ModelHubError) in try self.client.with(token: token) } ?? self.client
        } catch { throw AdapterError(.invalidRequest, error.message) }
        let key = Key(
            tenant: ContentDigest.text(of: client.endpoint + "\n" + (client.token ?? "")),
            reference: reference.description)
        if let known = state.withLock({ $0.known[key] }), now() - known.checkedAt < Self.recheckAfter,
            FileSystem.isDirectory(known.location.folder)
        {
            return known.location
        }
        return try await wait(for: key, reference, client).get()
    }

    /// Callers that are waiting for a fetch.
    var waiterCount: Int { state.withLock { $0.jobs.values.reduce(0) { $0 + $1.waiters.count } } }

    private func wait(for key: Key, _ reference: HubReference, _ client: HubClient) async -> Outcome {
        let waiter = state.withLock { $0.nextNumber() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isGone = state.withLock { state in
                    // Under the lock that `leave` takes: either it finds the waiter, or the task is cancelled by now.
                    if Task.isCancelled { return true }
                    if state.jobs[key] == nil {
                        let number = state.nextNumber()
                        state.jobs[key] = Job(number: number, reference: reference, client: client)
                        state.queue.append(key)
                    }
                    state.jobs[key]?.waiters[waiter] = continuation
                    return false
                }
                if isGone { continuation.resume(returning: Self.cancelled(reference)) }
                startNext()
            }
        } onCancel: {
            leave(waiter, key)
        }
    }

    private static func cancelled(_ reference: HubReference) -> Outcome {
        .failure(AdapterError(.cancelled, "\(reference): the caller gave up"))
    }

    /// Lets a waiter go. Nobody left to wait for a job ends it; whoever comes next starts another.
    private func leave(_ waiter: UInt64, _ key: Key) {
        let left = state.withLock { state -> (CheckedContinuation<Outcome, Never>, HubReference)? in
            guard var job = state.jobs[key], let continuation = job.waiters.removeValue(forKey: waiter) else {
                return nil
            }
            state.jobs[key] = job
            if job.waiters.isEmpty {
                job.cancellation.cancel()
                state.jobs[key] = nil
                state.queue.removeAll { $0 == key }
            }
            return (continuation, job.reference)
        }
        if let (continuation, reference) = left { continuation.resume(returning: Self.cancelled(reference)) }
    }

    private func startNext() {
        let next = state.withLock { state -> (Key, Job)? in
            guard state.runningCount < Self.maximumRunning, !state.queue.isEmpty else { return nil }
            let key = state.queue.removeFirst()
            guard let job = state.jobs[key] else { return nil }
            state.runningCount += 1
            return (key, job)
        }
        guard let (key, job) = next else { return }
        BlockingThread.start { [self] in
            let outcome = fetch(job, key)
            let waiters = state.withLock { state in
                state.runningCount -= 1
                guard let ended = state.jobs[key], ended.number == job.number else {
                    return [CheckedContinuation<Outcome, Never>]()
                }
                state.jobs[key] = nil
                if case .success(let location) = outcome { remember(location, key, in: &state) }
                return Array(ended.waiters.values)
            }
            for waiter in waiters { waiter.resume(returning: outcome) }
            startNext()
        }
    }

    private func remember(_ location: AdapterLocation, _ key: Key, in state: inout State) {
        let now = now()
        if state.known.count >= Self.maximumKnown {
            state.known = state.known.filter { now - $0.value.checkedAt < Self.recheckAfter }
            if state.known.count >= Self.maximumKnown { state.known = [:] }
        }
        state.known[key] = Known(location: location, checkedAt: now)
    }

    /// One fetch, in the thread that calls.
    private func fetch(_ job: Job, _ key: Key) -> Outcome {
        let store = ModelStore(root: "\(cache)/\(key.tenant)")
        let name = ContentDigest.text(of: key.reference)
        let old = store.model(named: name) ?? copy(of: job.reference, in: store)
        var client = job.client
        if old != nil {
            // There is something to fall back on, and somebody waits.
            client.maximumFailures = 1
            client.timeouts.connectMilliseconds = min(client.timeouts.connectMilliseconds, 3000)
            client.timeouts.stallSeconds = min(client.timeouts.stallSeconds, 10)
        }
        do throws(ModelHubError) {
            let model = try HubPull(
                client: client, store: store, reference: job.reference, name: name,
                content: .adapter(maximumBytes: limits.adapterBytes), cancellation: job.cancellation,
                onEvent: { _ in }
            ).run()
            AdapterCacheSpace.noteUse(of: store.folder(of: name))
            if model.commit != old?.commit { makeRoom(besides: key) }
            return .success(AdapterLocation(folder: model.path, revision: model.commit))
        } catch {
            guard let old else { return .failure(AdapterError(error, adapter: job.reference.description)) }
            switch error.code {
            case .unreachable, .hubFailed:
                onNote("adapter \(job.reference): \(error.message); using the copy that is here")
                return .success(AdapterLocation(folder: old.path, revision: old.commit))
            case .notFound, .notAllowed:
                // Kept, the copy would be served to this token again as soon as the hub can't be asked.
                _ = try? store.remove(name)
            default: break
            }
            return .failure(AdapterError(error, adapter: job.reference.description))
        }
    }

    /// What was fetched under another revision, where the one asked for is that commit: its content is the same for
    /// ever.
    private func copy(of reference: HubReference, in store: ModelStore) -> StoredModel? {
        guard reference.revision.utf8.count == 40, reference.revision.allSatisfy(\.isHexDigit),
            let models = try? store.listing().models
        else { return nil }
        return models.first { model in
            guard model.commit == reference.revision, let other = try? HubReference(parsing: model.source) else {
                return false
            }
            return other.owner == reference.owner && other.name == reference.name
        }
    }

    /// Drops what was used longest ago, but nothing that a caller may be about to read.
    private func makeRoom(besides key: Key) {
        let now = now()
        let kept = state.withLock { state in
            [key] + state.jobs.keys + state.known.filter { now - $0.value.checkedAt < Self.recheckAfter }.keys
        }
        let names = kept.map { "\($0.tenant)/\(ContentDigest.text(of: $0.reference))" }
        AdapterCacheSpace(root: cache).trim(to: limits.cacheBytes, keeping: Set(names))
    }
}

extension AdapterError {
    /// What a failure of the hub or the registry means to somebody who asked for an adapter.
    ///
    /// Hints stay behind: they are for whoever runs the server. So do paths of this machine.
    init(_ error: ModelHubError, adapter: String) {
        switch error.code {
        case .notFound, .notAllowed: self.init(.notFound, error.message)
        case .badReference: self.init(.invalidRequest, error.message)
        case .unsupported: self.init(.unsupported, error.message)
        case .corrupt: self.init(.unavailable, "adapter \(adapter): its files are damaged")
        case .cancelled: self.init(.cancelled, "adapter \(adapter): the caller gave up")
        case .unreachable, .hubFailed, .busy: self.init(.unavailable, error.message)
        default: self.init(.unavailable, "adapter \(adapter): it can't be kept on this machine (\(error.code))")
        }
    }
}
