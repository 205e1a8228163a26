extension Unicode.Scalar {
    /// White space as `str.strip` and `\s` take it: Unicode's, and the four separators U+001C...U+001F.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// Where `str.splitlines` breaks.
    var isLineBreak: Bool {
        switch value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

extension Text {
    enum Side { case left, right, both }

    /// The text without the given scalars (white space by default) at its ends.
    func stripped(_ characters: Text? = nil, from side: Side = .both) -> Text {
        let set = characters.map { Set($0.scalars) }
        let drop: (Unicode.Scalar) -> Bool = { scalar in set.map { $0.contains(scalar) } ?? scalar.isPythonSpace }
        var start = 0
        var end = bytes.count
        if side != .right {
            while start < end {
                let (scalar, next) = scalar(at: start)
                guard drop(scalar) else { break }
                start = next
            }
        }
        if side != .left {
            while end > start {
                var previous = end - 1
                while previous > start, bytes[previous] & 0xC0 == 0x80 { previous -= 1 }
                guard drop(scalar(at: previous).0) else { break }
                end = previous
            }
        }
        return start == 0 && end == bytes.count ? self : Text(bytes[start..<end]).marked(isMarkup)
    }

    /// The scalar that starts at a byte offset, and the offset after it.
    func scalar(at offset: Int) -> (Unicode.Scalar, Int) {
        let first = bytes[offset]
        if first < 0x80 { return (Unicode.Scalar(first), offset + 1) }
        let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        var value = UInt32(first) & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07)
        let end = min(offset + length, bytes.count)
        for byte in bytes[(offset + 1)..<max(end, offset + 1)] { value = value << 6 | UInt32(byte & 0x3F) }
        return (Unicode.Scalar(value) ?? "\u{FFFD}", max(end, offset + 1))
    }

    /// Byte offset of the first occurrence at or after an offset.
    func firstOffset(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
        let end = end ?? bytes.count
        let length = needle.bytes.count
        guard start >= 0, end - start >= length else { return nil }
        guard length > 0 else { return start }
        return bytes.withUnsafeBufferPointer { hay in
            needle.bytes.withUnsafeBufferPointer { pattern in
                guard length <= 32 else {
                    return Text.firstMatch(of: pattern.count, in: end - start) {
                        hay[start + $0] == pattern[$1]
                    } _: {
                        pattern[$0] == pattern[$1]
                    }.map { start + $0 }
                }
                var offset = start
                while offset <= end - length {
                    if hay[offset] == pattern[0] {
                        var matched = 1
                        while matched < length, hay[offset + matched] == pattern[matched] { matched += 1 }
                        if matched == length { return offset }
                    }
                    offset += 1
                }
                return nil
            }
        }
    }

    /// Byte offset of the last occurrence that lies between two offsets.
    func lastOffset(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
        let end = end ?? bytes.count
        let length = needle.bytes.count
        guard start >= 0, end - start >= length else { return nil }
        guard length > 0 else { return end }
        return bytes.withUnsafeBufferPointer { hay in
            needle.bytes.withUnsafeBufferPointer { pattern in
                Text.firstMatch(of: length, in: end - start) {
                    hay[end - 1 - $0] == pattern[length - 1 - $1]
                } _: {
                    pattern[length - 1 - $0] == pattern[length - 1 - $1]
                }.map { end - $0 - length }
            }
        }
    }

    /// Knuth, Morris and Pratt's search, so that no text takes more than linear time: the first position of a pattern
    /// of `length` in a text of `count`, given whether text[i] == pattern[j] and whether pattern[i] == pattern[j].
    private static func firstMatch(
        of length: Int, in count: Int, _ matchesText: (Int, Int) -> Bool, _ matchesPattern: (Int, Int) -> Bool
    ) -> Int? {
        var borders = [0]
        borders.reserveCapacity(length)
        for position in 1..<max(length, 1) {
            var border = borders[position - 1]
            while border > 0, !matchesPattern(position, border) { border = borders[border - 1] }
            borders.append(matchesPattern(position, border) ? border + 1 : 0)
        }
        var matched = 0
        for position in 0..<count {
            while matched > 0, !matchesText(position, matched) { matched = borders[matched - 1] }
            if matchesText(position, matched) { matched += 1 }
            if matched == length { return position + 1 - length }
        }
        return nil
    }

    func contains(_ needle: Text) -> Bool { firstOffset(of: needle) != nil }
    func hasPrefix(_ prefix: Text) -> Bool { bytes.starts(with: prefix.bytes) }
    func hasSuffix(_ suffix: Text) -> Bool {
        bytes.count >= suffix.bytes.count && bytes[(bytes.count - suffix.bytes.count)...].elementsEqual(suffix.bytes)
    }

    /// Byte offsets of occurrences that do not overlap.
    func offsets(of needle: Text, limit: Int = .max) -> [Int] {
        guard !needle.isEmpty else { return [] }
        var found: [Int] = []
        var start = 0
        while found.count < limit, let offset = firstOffset(of: needle, from: start) {
            found.append(offset)
            start = offset + needle.bytes.count
        }
        return found
    }

    /// `str.replace`: an empty `old` stands before each scalar and at the end.
    func replacing(_ old: Text, with new: Text, limit: Int) -> Text {
        var result = Text()
        if old.isEmpty {
            var left = limit
            for element in elements {
                if left > 0 {
                    result.append(new)
                    left -= 1
                }
                result.append(element)
            }
            if left > 0 { result.append(new) }
            return result
        }
        var made: [UInt8] = []
        var start = 0
        for offset in offsets(of: old, limit: limit) {
            made.append(contentsOf: bytes[start..<offset])
            made.append(contentsOf: new.bytes)
            start = offset + old.bytes.count
        }
        guard start > 0 else { return plain }
        made.append(contentsOf: bytes[start...])
        return Text(bytes: made)
    }

    /// `str.split` with a separator that is not empty.
    func split(_ separator: Text, limit: Int = .max) -> [Text] {
        var parts: [Text] = []
        var start = 0
        for offset in offsets(of: separator, limit: limit) {
            parts.append(Text(bytes[start..<offset]))
            start = offset + separator.bytes.count
        }
        parts.append(Text(bytes[start...]))
        return parts
    }

    /// `str.rsplit` with a separator that is not empty.
    func splitFromEnd(_ separator: Text, limit: Int) -> [Text] {
        var parts: [Text] = []
        var end = bytes.count
        while parts.count < limit, let offset = lastOffset(of: separator, to: end) {
            parts.append(Text(bytes[(offset + separator.bytes.count)..<end]))
            end = offset
        }
        parts.append(Text(bytes[..<end]))
        return parts.reversed()
    }

    /// `str.split()`: words between white space; the last one takes the rest where a limit is reached.
    func words(limit: Int = .max) -> [Text] {
        var parts: [Text] = []
        var offset = 0
        while true {
            offset = endOfRun(from: offset, ofSpace: true)
            guard offset < bytes.count else { return parts }
            guard parts.count < limit else { return parts + [Text(bytes[offset...])] }
            let end = endOfRun(from: offset, ofSpace: false)
            parts.append(Text(bytes[offset..<end]))
            offset = end
        }
    }

    private func endOfRun(from start: Int, ofSpace isSpace: Bool) -> Int {
        var offset = start
        while offset < bytes.count {
            let (scalar, next) = scalar(at: offset)
            if scalar.isPythonSpace != isSpace { break }
            offset = next
        }
        return offset
    }

    /// `str.rsplit(None, limit)`.
    func wordsFromEnd(limit: Int) -> [Text] {
        let all = words()
        guard all.count > limit else { return all }
        let kept = all[(all.count - limit)...]
        var rest = stripped(from: .right).plain
        for word in kept.reversed() {
            rest = Text(rest.bytes[..<(rest.bytes.count - word.bytes.count)]).stripped(from: .right)
        }
        return [rest] + kept
    }

    /// `str.splitlines`.
    func lines(keepingEnds: Bool = false) -> [Text] {
        var lines: [Text] = []
        var start = 0
        var offset = 0
        while offset < bytes.count {
            let (scalar, after) = scalar(at: offset)
            var next = after
            if scalar.isLineBreak {
                if scalar == "\r", next < bytes.count, bytes[next] == 0x0A { next += 1 }
                lines.append(Text(bytes[start..<(keepingEnds ? next : offset)]))
                start = next
            }
            offset = next
        }
        if start < bytes.count { lines.append(Text(bytes[start...])) }
        return lines
    }
}
