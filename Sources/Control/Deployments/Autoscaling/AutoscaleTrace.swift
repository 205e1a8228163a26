import ServingJSON

/// A course of load: requests that come, or how many clients there are that each ask again once they are answered.
package struct AutoscaleTrace: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Requests between a row's time and the next row's, evenly spread.
        case arrivals
        /// Requests under way at a time, from a row's time on.
        case concurrency
    }

    package struct Row: Sendable, Hashable {
        /// Seconds from the start.
        package var time: Double
        package var value: Double

        package init(time: Double, value: Double) {
            self.time = time
            self.value = value
        }
    }

    package var kind: Kind
    /// At least one, at rising times from 0 on.
    package private(set) var rows: [Row]
    /// How long it lasts: to the last row, and as much longer as that is after the row before.
    package private(set) var duration: Double

    package static let mostRows = 1_000_000
    package static let longestDuration = 10_000_000.0
    package static let mostRequests = 5_000_000.0

    /// A trace; rows must be at rising times, all numbers finite and not negative.
    package init(kind: Kind, rows: [Row]) throws(TraceFault) {
        guard !rows.isEmpty else { throw TraceFault(line: nil, "the trace has no rows") }
        guard rows.count <= Self.mostRows else { throw TraceFault(line: nil, "more than \(Self.mostRows) rows") }
        var earlier = -1.0
        for (position, row) in rows.enumerated() {
            guard (0...Self.longestDuration).contains(row.time) else {
                throw TraceFault(line: position + 1, "time: expected 0 to \(Int(Self.longestDuration)) seconds")
            }
            guard row.time > earlier else {
                throw TraceFault(line: position + 1, "time: expected more than in the row before")
            }
            guard (0...1e6).contains(row.value) else {
                throw TraceFault(line: position + 1, "\(kind.rawValue): expected 0 to 1000000")
            }
            earlier = row.time
        }
        self.kind = kind
        self.rows = rows
        let last = rows[rows.count - 1].time
        duration = last + (rows.count > 1 ? last - rows[rows.count - 2].time : 1)
        if kind == .arrivals {
            let total = rows.reduce(0) { $0 + $1.value }
            guard total <= Self.mostRequests else {
                throw TraceFault(line: nil, "\(Int(total)) requests: expected at most \(Int(Self.mostRequests))")
            }
        }
    }
}

/// What is wrong with a trace.
package struct TraceFault: Error, Hashable, CustomStringConvertible {
    /// Line of the text, or row, from 1 on; nil where it is about all of it.
    package var line: Int?
    package var reason: String

    init(line: Int?, _ reason: String) {
        self.line = line
        self.reason = reason
    }

    package var description: String { line.map { "line \($0): \(reason)" } ?? reason }
}

// MARK: - Files

extension AutoscaleTrace {
    /// Reads CSV (`time_s,arrivals` or `time_s,concurrency`, the header may be left out for arrivals) or one JSON
    /// object a line with those keys. Empty lines and lines that begin with `#` are passed over.
    package init(parsing text: String) throws(TraceFault) {
        var kind: Kind?
        var rows: [Row] = []
        var lines: [Int] = []
        for (position, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = Self.trimmed(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            let number = position + 1
            if rows.isEmpty, kind == nil, let header = try Self.header(line, number) {
                kind = header
                continue
            }
            let (row, rowKind) =
                line.hasPrefix("{")
                ? try Self.jsonRow(line, number) : (try Self.csvRow(line, number), kind ?? .arrivals)
            guard kind == nil || kind == rowKind else {
                throw TraceFault(line: number, "\(rowKind.rawValue) among rows of \(kind?.rawValue ?? "")")
            }
            kind = rowKind
            rows.append(row)
            lines.append(number)
        }
        do throws(TraceFault) {
            try self.init(kind: kind ?? .arrivals, rows: rows)
        } catch {
            throw TraceFault(line: error.line.map { lines[$0 - 1] }, error.reason)
        }
    }

    /// The kind of load that a header names; nil where the line is no header.
    private static func header(_ line: Substring, _ number: Int) throws(TraceFault) -> Kind? {
        guard !line.hasPrefix("{"), Double(trimmed(line.prefix { $0 != "," })) == nil else { return nil }
        let names = line.split(separator: ",", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
        guard names.count == 2, ["time_s", "time"].contains(names[0]), let kind = Kind(rawValue: names[1]) else {
            throw TraceFault(line: number, "expected the header time_s,arrivals or time_s,concurrency")
        }
        return kind
    }

    private static func csvRow(_ line: Substring, _ number: Int) throws(TraceFault) -> Row {
        let values = line.split(separator: ",", omittingEmptySubsequences: false).map { Double(trimmed($0)) }
        guard values.count == 2, let time = values[0], let value = values[1] else {
            throw TraceFault(line: number, "expected two numbers with a comma between")
        }
        return Row(time: time, value: value)
    }

    private static func jsonRow(_ line: Substring, _ number: Int) throws(TraceFault) -> (Row, Kind) {
        guard let object = try? JSONValue(parsing: line), let time = object["time_s"]?.doubleValue else {
            throw TraceFault(line: number, "expected an object with time_s and arrivals or concurrency")
        }
        for kind in Kind.allCases {
            if let value = object[kind.rawValue]?.doubleValue { return (Row(time: time, value: value), kind) }
        }
        throw TraceFault(line: number, "expected arrivals or concurrency")
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
