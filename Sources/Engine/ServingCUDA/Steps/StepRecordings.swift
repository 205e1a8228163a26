/// Steps recorded as graphs, by what they depend on beside the contents of memory.
struct StepRecordings {
    /// What makes two steps the same work.
    struct Key: Hashable {
        /// Rows, those of no token included.
        var rowCount: Int
        /// Spans of positions that attention is launched for.
        var spanCount: Int
        /// Linear slots that adapters change.
        var slots: SlotSet
        /// What is read after the step.
        var results: [ObjectIdentifier]
    }

    private struct Recording {
        let graph: RecordedGraph
        /// Held, so that nothing else gets their identity.
        let results: [CUDAActivation]
    }

    private var recordings: [Key: Recording] = [:]
    /// Steps that were computed once without being recorded: memory for them is there, and algorithms are chosen.
    private var known: Set<Key> = []
    private var refused: Set<Key> = []
    /// Whether a step is being recorded.
    var isRecording = false
    /// Sizes of steps and of their contexts vary within bounds, adapters' modules do not.
    private static let limit = 512

    /// Row counts that are recorded: others are rounded up to one of these.
    static func rowCount(for tokenCount: Int) -> Int? {
        switch tokenCount {
        case 1, 2: tokenCount
        case 3, 4: 4
        case 5...256: (tokenCount + 7) / 8 * 8
        default: nil
        }
    }

    /// Recordings kept.
    var count: Int { recordings.count }

    func graph(_ key: Key) -> RecordedGraph? { recordings[key]?.graph }

    /// Whether a step is to be recorded: the second time that it comes.
    mutating func isDue(_ key: Key) -> Bool { !known.insert(key).inserted && !refused.contains(key) }

    mutating func keep(_ graph: RecordedGraph, for key: Key, results: [CUDAActivation]) {
        if recordings.count >= Self.limit { forgetAll() }
        recordings[key] = Recording(graph: graph, results: results)
    }

    /// Takes down that a step can't be recorded.
    mutating func refuse(_ key: Key) { refused.insert(key) }

    mutating func forgetAll() {
        recordings = [:]
        known = []
    }
}
