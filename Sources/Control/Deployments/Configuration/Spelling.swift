/// Finds out what a mistyped name was meant to be.
package enum Spelling {
    /// The candidate nearest to `word`, if it is near enough to be what was meant.
    package static func nearest(to word: String, among candidates: [String]) -> String? {
        // Names are short; a longer word is none of them, and comparing it would take long.
        guard (1...80).contains(word.utf8.count) else { return nil }
        let limit = max(1, word.count / 3)
        let ranked = candidates.map { (name: $0, distance: distance(word, $0)) }
        if let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= limit { return best.name }
        return candidates.first { word.count >= 3 && $0.lowercased().hasPrefix(word.lowercased()) }
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other; case doesn't
    /// count.
    package static func distance(_ first: String, _ second: String) -> Int {
        let (a, b) = (Array(first.lowercased()), Array(second.lowercased()))
        var (before, last) = ([Int](), Array(0...b.count))
        for (i, character) in a.enumerated() {
            var row = [i + 1]
            for (j, other) in b.enumerated() {
                var cost = min(last[j] + (character == other ? 0 : 1), row[j] + 1, last[j + 1] + 1)
                if i > 0, j > 0, character == b[j - 1], a[i - 1] == other { cost = min(cost, before[j - 1] + 1) }
                row.append(cost)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
