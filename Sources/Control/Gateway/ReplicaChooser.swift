package import Deployments

/// What a request has in common with others that a replica may have kept something of.
package struct AffinityKeys: Sendable, Hashable {
    /// Of the adapter; nil for the base model.
    package private(set) var adapter: UInt64?
    /// Of the prompt's beginnings, shortest first.
    package private(set) var prefixes: [UInt64]

    private static let step = 256
    private static let stepCount = 4

    package init() { prefixes = [] }

    /// - Parameter prompt: the prompt as the request spells it; its first KiB counts, in whole steps of 256 bytes.
    package init(adapter: String?, prompt: UnsafeRawBufferPointer) {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325
        if let adapter {
            for byte in adapter.utf8 { Self.mix(&state, byte) }
            self.adapter = state
            // What an adapter has computed of a prompt is of no use to another.
            Self.mix(&state, 0xFF)
        }
        prefixes = []
        for step in 0..<min(Self.stepCount, prompt.count / Self.step) {
            for byte in prompt[step * Self.step..<(step + 1) * Self.step] { Self.mix(&state, byte) }
            prefixes.append(state)
        }
    }

    /// FNV-1a: quick, and the same in every process. Who makes keys collide gains a replica that is as good as another.
    private static func mix(_ state: inout UInt64, _ byte: UInt8) {
        state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }
}

/// Chooses the replica for a request: the one with the fewest tokens to do, but rather one that has the prompt's
/// beginning or the adapter already, as long as it is not much busier than the least busy one.
///
/// A plain value without chance or clock: the same calls give the same choices.
package struct ReplicaChooser: Sendable {
    /// A replica that may be chosen.
    package struct Candidate: Sendable, Hashable {
        package var id: ReplicaID
        package var requestCount: Int
        package var tokenCount: Int

        package init(id: ReplicaID, requestCount: Int, tokenCount: Int) {
            self.id = id
            self.requestCount = requestCount
            self.tokenCount = tokenCount
        }
    }

    private let margin: Int
    private var memory: RecentMemory
    private var turn: UInt64 = 0
    private var lastTurns: [ReplicaID: UInt64] = [:]

    /// - Parameters:
    ///   - margin: tokens that a replica with something kept may have to do beyond the least busy one.
    ///   - memorySize: beginnings and adapters that are remembered, at least; at most twice as many.
    package init(margin: Int = 4096, memorySize: Int = 4096) {
        self.margin = margin
        memory = RecentMemory(size: memorySize)
    }

    /// The replica for a request, remembered for the next one like it; nil where there is no candidate.
    package mutating func choose(among candidates: [Candidate], for keys: AffinityKeys) -> ReplicaID? {
        guard let least = candidates.map(\.tokenCount).min() else { return nil }
        let (sum, overflow) = least.addingReportingOverflow(margin)
        let limit = overflow ? Int.max : sum
        let chosen = kept(keys, candidates, limit) ?? leastBusy(candidates)
        guard let chosen else { return nil }
        for key in keys.prefixes { memory[key] = chosen }
        if let adapter = keys.adapter { memory[adapter] = chosen }
        turn += 1
        lastTurns[chosen] = turn
        return chosen
    }

    /// A replica is gone for good.
    package mutating func forget(_ id: ReplicaID) { lastTurns[id] = nil }

    private func kept(_ keys: AffinityKeys, _ candidates: [Candidate], _ limit: Int) -> ReplicaID? {
        for key in keys.prefixes.reversed() + (keys.adapter.map { [$0] } ?? []) {
            guard let id = memory[key], let candidate = candidates.first(where: { $0.id == id }),
                candidate.tokenCount <= limit
            else { continue }
            return id
        }
        return nil
    }

    /// Fewest tokens, then fewest requests, then the one that was chosen the longest time ago, then by name.
    private func leastBusy(_ candidates: [Candidate]) -> ReplicaID? {
        candidates.min { left, right in
            let (first, second) = (lastTurns[left.id] ?? 0, lastTurns[right.id] ?? 0)
            return (left.tokenCount, left.requestCount, first, left.id.text)
                < (right.tokenCount, right.requestCount, second, right.id.text)
        }?.id
    }
}

/// Remembers who had a key last, for the keys of the last while: two tables, of which the older one is dropped when the
/// newer one is full.
struct RecentMemory: Sendable {
    private let size: Int
    private var young: [UInt64: ReplicaID] = [:]
    private var old: [UInt64: ReplicaID] = [:]

    init(size: Int) { self.size = max(1, size) }

    var count: Int { young.count + old.count }

    subscript(key: UInt64) -> ReplicaID? {
        get { young[key] ?? old[key] }
        set {
            if young[key] == nil, young.count >= size {
                old = young
                young = [:]
            }
            young[key] = newValue
        }
    }
}
