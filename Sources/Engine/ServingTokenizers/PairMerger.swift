/// A piece of a word while pairs are merged.
struct MergeSymbol {
    /// The token, or -1 for a character that has none.
    var token: Int32
    /// Offset of its first byte in the word.
    var start: Int32
    /// Bytes; 0 once merged into its left neighbour.
    var length: Int32
    /// Position of the right neighbour, or -1.
    var next: Int32
    /// Position of the left neighbour, or -1.
    var previous: Int32
    /// Takes no part in merges.
    var isFrozen: Bool
}

/// Says which pairs merge, how soon and into what.
protocol MergeRule {
    /// rank << 32 | token where the lower rank merges first; `MergeTable.none` where the pair does not merge.
    func merge(_ left: MergeSymbol, _ right: MergeSymbol) -> UInt64
}

/// Merges the adjacent pair of lowest rank, leftmost of equals, until none is left.
///
/// Short words take a scan a merge; long ones a heap, so that a word of n symbols takes O(n log n). Buffers are kept
/// between words.
struct PairMerger {
    var symbols: [MergeSymbol] = []
    /// Merge of symbol i with its right neighbour.
    private var candidates: [UInt64] = []
    /// rank << 32 | position, a binary heap with the least on top.
    private var heap: [UInt64] = []

    private static let scanLimit = 40

    mutating func clear() { symbols.removeAll(keepingCapacity: true) }

    mutating func append(token: Int32, start: Int, length: Int, isFrozen: Bool = false) {
        let position = Int32(symbols.count)
        if position > 0 { symbols[symbols.count - 1].next = position }
        symbols.append(
            MergeSymbol(
                token: token, start: Int32(start), length: Int32(length), next: -1, previous: position - 1,
                isFrozen: isFrozen))
    }

    mutating func merge(_ rule: some MergeRule) {
        guard symbols.count > 1 else { return }
        candidates.removeAll(keepingCapacity: true)
        for position in 0..<symbols.count - 1 {
            candidates.append(rule.merge(symbols[position], symbols[position + 1]))
        }
        candidates.append(MergeTable.none)
        if symbols.count <= Self.scanLimit { mergeByScan(rule) } else { mergeByHeap(rule) }
    }

    /// Symbols and candidates are kept dense: the merged symbol's neighbours move up.
    private mutating func mergeByScan(_ rule: some MergeRule) {
        var count = symbols.count
        symbols.withUnsafeMutableBufferPointer { symbols in
            candidates.withUnsafeMutableBufferPointer { candidates in
                while count > 1 {
                    var best = 0
                    var bestRank = candidates[0] >> 32
                    for position in 1..<count - 1 where candidates[position] >> 32 < bestRank {
                        bestRank = candidates[position] >> 32
                        best = position
                    }
                    guard candidates[best] != MergeTable.none else { break }
                    symbols[best].token = Int32(truncatingIfNeeded: candidates[best])
                    symbols[best].length += symbols[best + 1].length
                    for position in best + 1..<count - 1 {
                        symbols[position] = symbols[position + 1]
                        candidates[position] = candidates[position + 1]
                    }
                    count -= 1
                    candidates[best] =
                        best + 1 < count ? rule.merge(symbols[best], symbols[best + 1]) : MergeTable.none
                    if best > 0 { candidates[best - 1] = rule.merge(symbols[best - 1], symbols[best]) }
                }
            }
        }
        symbols.removeLast(symbols.count - count)
    }

    private mutating func mergeByHeap(_ rule: some MergeRule) {
        heap.removeAll(keepingCapacity: true)
        for position in 0..<symbols.count - 1 where candidates[position] != MergeTable.none {
            heap.append((candidates[position] >> 32) << 32 | UInt64(position))
        }
        if heap.count > 1 { for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(parent) } }
        while let top = heap.first {
            removeTop()
            let position = Int(top & 0xFFFF_FFFF)
            // Stale where the symbol is gone or its neighbour has changed since.
            guard symbols[position].length > 0, candidates[position] != MergeTable.none,
                candidates[position] >> 32 == top >> 32
            else { continue }
            mergeRight(position, rule)
        }
        symbols.removeAll { $0.length == 0 }
    }

    private mutating func mergeRight(_ position: Int, _ rule: some MergeRule) {
        let right = Int(symbols[position].next)
        symbols[position].token = Int32(truncatingIfNeeded: candidates[position])
        symbols[position].length += symbols[right].length
        symbols[right].length = 0
        candidates[right] = MergeTable.none
        let next = symbols[right].next
        symbols[position].next = next
        candidates[position] = MergeTable.none
        if next >= 0 {
            symbols[Int(next)].previous = Int32(position)
            update(position, rule.merge(symbols[position], symbols[Int(next)]))
        }
        let previous = symbols[position].previous
        if previous >= 0 { update(Int(previous), rule.merge(symbols[Int(previous)], symbols[position])) }
    }

    private mutating func update(_ position: Int, _ merge: UInt64) {
        candidates[position] = merge
        guard merge != MergeTable.none else { return }
        heap.append((merge >> 32) << 32 | UInt64(position))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func removeTop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        let count = heap.count
        heap.withUnsafeMutableBufferPointer { heap in
            var parent = start
            let value = heap[parent]
            while true {
                var child = parent * 2 + 1
                guard child < count else { break }
                if child + 1 < count, heap[child + 1] < heap[child] { child += 1 }
                guard heap[child] < value else { break }
                heap[parent] = heap[child]
                parent = child
            }
            heap[parent] = value
        }
    }
}
