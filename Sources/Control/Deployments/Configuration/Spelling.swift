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

    /// Insertions, deletions and replacements that turn one word into the other; case doesn't count.
    package static func distance(_ first: String, _ second: String) -> Int {
        let (a, b) = (Array(first.lowercased()), Array(second.lowercased()))
        var row = Array(0...b.count)
        for (i, character) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in b.enumerated() {
                let replaced = diagonal + (character == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
