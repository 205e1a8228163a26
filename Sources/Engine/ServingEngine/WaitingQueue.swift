/// Sequences that wait, first come first served for each adapter, with the least served adapter in front.
///
/// Service is counted in computed tokens. An adapter that comes back after a pause begins at the level of the least served
/// one that waits, so that a pause saves up nothing; of equals the earlier arrival is first. This is the virtual token
/// counter of "Fairness in Serving Large Language Models" (arXiv:2401.00588). Because the front is decided by service and a
/// front that does not fit is waited for, no sequence waits for ever.
struct WaitingQueue {
    private struct Line {
        /// In order of arrival from `head` on; what lies before is gone.
        var sequences: [SequenceState?] = []
        var head = 0
        var servedTokenCount = 0

        var isEmpty: Bool { head == sequences.count }
        var first: SequenceState? { isEmpty ? nil : sequences[head] }
    }

    private var lines: [Line] = []
    private var indices: [AdapterKey?: Int] = [:]
    /// Service of the adapter that was in front last.
    private var level = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// The number that stands for an adapter from now on. Adapters are few and are never forgotten.
    mutating func index(of adapter: AdapterKey?) -> Int {
        if let index = indices[adapter] { return index }
        lines.append(Line())
        indices[adapter] = lines.count - 1
        return lines.count - 1
    }

    /// Counts tokens computed for an adapter.
    mutating func charge(_ tokenCount: Int, adapterIndex: Int) {
        lines[adapterIndex].servedTokenCount += tokenCount
    }

    /// Puts a sequence where its arrival belongs in its adapter's line.
    mutating func insert(_ sequence: SequenceState) {
        let index = sequence.adapterIndex
        if lines[index].isEmpty {
            let least = lines.lazy.filter { !$0.isEmpty }.map(\.servedTokenCount).min() ?? level
            lines[index].servedTokenCount = max(lines[index].servedTokenCount, least)
        }
        count += 1
        if let last = lines[index].sequences.last, let last, last.id < sequence.id || lines[index].isEmpty {
            lines[index].sequences.append(sequence)
            return
        }
        let head = lines[index].head
        let waiting = lines[index].sequences[head...]
        let place = waiting.firstIndex { $0.map { $0.id > sequence.id } ?? false } ?? waiting.endIndex
        if place == head, head > 0 {
            lines[index].head -= 1
            lines[index].sequences[head - 1] = sequence
        } else {
            lines[index].sequences.insert(sequence, at: place)
        }
    }

    /// The sequence to let in next.
    var first: SequenceState? { frontIndex.flatMap { lines[$0].first } }

    /// Removes the sequence to let in next.
    mutating func removeFirst() -> SequenceState? {
        guard let index = frontIndex, let sequence = lines[index].first else { return nil }
        level = max(level, lines[index].servedTokenCount)
        lines[index].sequences[lines[index].head] = nil
        lines[index].head += 1
        if lines[index].isEmpty || lines[index].head > 64 && lines[index].head * 2 > lines[index].sequences.count {
            lines[index].sequences.removeFirst(lines[index].head)
            lines[index].head = 0
        }
        count -= 1
        return sequence
    }

    /// Removes sequences, wherever they wait.
    mutating func remove(_ ids: Set<SequenceID>) {
        for index in lines.indices where !lines[index].isEmpty {
            let kept = lines[index].sequences[lines[index].head...].filter { $0.map { !ids.contains($0.id) } ?? false }
            count -= lines[index].sequences.count - lines[index].head - kept.count
            lines[index].sequences = Array(kept)
            lines[index].head = 0
        }
    }

    private var frontIndex: Int? {
        var front: (index: Int, served: Int, id: SequenceID)?
        for (index, line) in lines.enumerated() {
            guard let first = line.first else { continue }
            if let front, (front.served, front.id) < (line.servedTokenCount, first.id) { continue }
            front = (index, line.servedTokenCount, first.id)
        }
        return front?.index
    }

    /// Throws when the lines are out of order or miscounted.
    func checkIntegrity() throws(IntegrityError) {
        var found = 0
        for line in lines {
            let ids = line.sequences[line.head...].compactMap { $0?.id }
            try IntegrityError.require(ids.count == line.sequences.count - line.head, "a waiting line has a gap")
            try IntegrityError.require(zip(ids, ids.dropFirst()).allSatisfy(<), "a waiting line is out of order")
            found += ids.count
        }
        try IntegrityError.require(found == count, "\(found) sequences wait, \(count) counted")
    }
}
