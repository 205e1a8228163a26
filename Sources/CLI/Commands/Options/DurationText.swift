import ArgumentParser

/// A length of time as people write it: `90` (seconds), `30s`, `10m`, `1h30m`, `2d`, `500ms`.
struct DurationText: ExpressibleByArgument, Sendable, Equatable {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard !argument.isEmpty, argument.utf8.count <= 40 else { return nil }
        if let seconds = Double(argument), argument.allSatisfy({ $0.isNumber || $0 == "." }) {
            guard let duration = Self.duration(seconds, unit: 1) else { return nil }
            self.duration = duration
            return
        }
        var rest = argument[...]
        var total = Duration.zero
        while !rest.isEmpty {
            let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let number = Double(digits), let seconds = Self.units[String(unit)],
                let part = Self.duration(number, unit: seconds)
            else { return nil }
            total += part
        }
        duration = total
    }

    private static let units: [String: Double] = ["ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400]

    private static func duration(_ number: Double, unit: Double) -> Duration? {
        let seconds = number * unit
        // Ten years are more than anybody waits, and far from where arithmetic ends.
        guard seconds >= 0, seconds <= 315_360_000 else { return nil }
        return .milliseconds(Int64((seconds * 1000).rounded()))
    }

    /// Whole seconds.
    var seconds: Int { Int(duration.components.seconds) }

    var defaultValueDescription: String { Self.text(duration) }

    /// The two largest parts of a duration: `45s`, `10m`, `1h30m`, `3d4h`. What fits in a column.
    static func text(_ duration: Duration) -> String {
        let total = max(0, duration.components.seconds)
        let parts: [(Int64, String)] = [
            (total / 86_400, "d"), (total / 3600 % 24, "h"), (total / 60 % 60, "m"), (total % 60, "s"),
        ]
        guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0s" }
        let shown = parts[first..<min(first + 2, parts.count)].filter { $0.0 > 0 }
        return shown.map { "\($0.0)\($0.1)" }.joined()
    }
}
