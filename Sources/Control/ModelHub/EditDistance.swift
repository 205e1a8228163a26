/// How far apart two words are, for "did you mean".
enum EditDistance {
    /// Insertions, deletions and replacements of bytes, case aside (Levenshtein).
    static func between(_ left: String, _ right: String) -> Int {
        let left = Array(left.lowercased().utf8.prefix(128))
        let right = Array(right.lowercased().utf8.prefix(128))
        var row = Array(0...right.count)
        for (i, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for j in right.indices {
                let replaced = diagonal + (byte == right[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
