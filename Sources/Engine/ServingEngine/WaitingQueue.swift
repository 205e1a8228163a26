/// Sequences that wait, first come first served for each adapter, with the least served adapter in front.
///
/// Service is counted in computed tokens. An adapter that comes back after a pause begins at the level of the least
/// served one that waits, so that a pause saves up nothing; of equals the earlier arrival is first. This is the virtual
/// token counter of "Fairness in Serving Large Language Models" (arXiv:2401.00588). Because the front is decided by
/// service and a front that does not fit is waited for, no sequence waits for ever.
struct WaitingQueue {
    private struct Line {
        /// In order of arrival from `head` on; what lies before is gone.
        var sequences: [SequenceState?] = []
        var head = 0
        var servedTokenCount = 0

        var isEmpty: Bool { head == sequences.count }
        var first: SequenceState? { isEmpty ? nil : sequences[head] }

        mutating func insert(_ sequence: SequenceState) {
            if let last = sequences.last, let last, last.id < sequence.id || isEmpty {
                sequences.append(sequence)
                return
            }
            let waiting = sequences[head...]
            let place = waiting.firstIndex { $0.map { $0.id > sequence.id } ?? false } ?? waiting.endIndex
            if place == head, head > 0 {
                head -= 1
                sequences[head] = sequence
            } else {
                sequences.insert(sequence, at: place)
            }
        }

        mutating func removeFirst() -> SequenceState? {
            guard let sequence = first else { return nil }
            sequences[head] = nil
            head += 1
            if isEmpty || head > 64 && head * 2 > sequences.count {
                sequences.removeFirst(head)
                head = 0
            }
            return sequence
        }
    }

    private var lines: [Int: Line] = [:]
    private var indices: [AdapterKey?: Int] = [:]
    private var nextIndex = 0
    /// How many lines there may be before those that are idle are to be forgotten.
    private(set) var lineLimit = 1024
    /// Service of the adapter that was in front last.
    private var level = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Lines that are remembered.
    var lineCount: Int { lines.count }

    /// The number that stands for an adapter until its line is forgotten.
    mutating func index(of adapter: AdapterKey?) -> Int {
        if let index = indices[adapter] { return index }
        defer { nextIndex += 1 }
        lines[nextIndex] = Line()
        indices[adapter] = nextIndex
        return nextIndex
    }

    /// Forgets the empty lines of adapters outside `live` and returns their numbers, which are not used again.
    ///
    /// What is lost is service above the level of an adapter that comes back: it begins at the level instead.
    mutating func forgetIdleLines(except live: Set<Int>) -> [Int] {
        let idle = lines.filter { $0.value.isEmpty && !live.contains($0.key) }.map(\.key)
        for index in idle { lines[index] = nil }
        indices = indices.filter { lines[$0.value] != nil }
        lineLimit = max(1024, 2 * lines.count)
        return idle
    }

    /// Counts tokens computed for an adapter.
    mutating func charge(_ tokenCount: Int, adapterIndex: Int) {
        lines[adapterIndex]?.servedTokenCount += tokenCount
    }

    /// Puts a sequence where its arrival belongs in its adapter's line.
    mutating func insert(_ sequence: SequenceState) {
        let index = sequence.adapterIndex
        guard var line = lines.removeValue(forKey: index) else { preconditionFailure("a line was forgotten in use") }
        defer { lines[index] = line }
        if line.isEmpty {
            let least = lines.values.lazy.filter { !$0.isEmpty }.map(\.servedTokenCount).min() ?? level
            line.servedTokenCount = max(line.servedTokenCount, least)
        }
        count += 1
        line.insert(sequence)
    }

    /// The sequence to let in next.
    var first: SequenceState? { frontIndex.flatMap { lines[$0]?.first } }

    /// Removes the sequence to let in next.
    mutating func removeFirst() -> SequenceState? {
        guard let index = frontIndex, let sequence = lines[index]?.removeFirst() else { return nil }
        level = max(level, lines[index]?.servedTokenCount ?? 0)
        count -= 1
        return sequence
    }

    /// Removes sequences, wherever they wait.
    mutating func remove(_ ids: Set<SequenceID>) {
        for (index, line) in lines where !line.isEmpty {
            let kept = line.sequences[line.head...].filter { $0.map { !ids.contains($0.id) } ?? false }
            count -= line.sequences.count - line.head - kept.count
            lines[index]?.sequences = Array(kept)
            lines[index]?.head = 0
        }
    }

    private var frontIndex: Int? {
        var front: (index: Int, served: Int, id: SequenceID)?
        for (index, line) in lines {
            guard let first = line.first else { continue }
            if let front, (front.served, front.id) < (line.servedTokenCount, first.id) { continue }
            front = (index, line.servedTokenCount, first.id)
        }
        return front?.index
    }

    /// Throws when the lines are out of order or miscounted.
    func checkIntegrity() throws(IntegrityError) {
        var found = 0
        for line in lines.values {
            let ids = line.sequences[line.head...].compactMap { $0?.id }
            try IntegrityError.require(ids.count == line.sequences.count - line.head, "a waiting line has a gap")
            try IntegrityError.require(zip(ids, ids.dropFirst()).allSatisfy(<), "a waiting line is out of order")
            found += ids.count
        }
        try IntegrityError.require(found == count, "\(found) sequences wait, \(count) counted")
    }
}
