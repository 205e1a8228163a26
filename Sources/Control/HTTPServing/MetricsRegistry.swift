package import ServingJSON
import Synchronization

/// Counters, gauges and histograms by name and labels, written as Prometheus's text format or as LoRAX's JSON.
package final class MetricsRegistry: Sendable {
    /// What Prometheus calls a type.
    package enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    /// A metric's name, meaning and labels.
    package struct Family: Sendable {
        package var name: String
        package var kind: Kind
        package var help: String
        package var labelNames: [String]
        /// Upper bounds of a histogram's buckets, ascending.
        package var buckets: [Double]

        package init(
            name: String, kind: Kind, help: String, labelNames: [String] = [], buckets: [Double] = []
        ) {
            self.name = name
            self.kind = kind
            self.help = help
            self.labelNames = labelNames
            self.buckets = buckets
        }
    }

    /// A histogram's counts.
    private struct Histogram: Sendable {
        /// One a bucket, and one for what is above the last.
        var counts: [Int]
        var sum = 0.0
        var count = 0

        init(bucketCount: Int) { counts = [Int](repeating: 0, count: bucketCount + 1) }

        mutating func add(_ value: Double, _ buckets: [Double]) {
            var (low, high) = (0, buckets.count)
            while low < high {
                let middle = (low + high) / 2
                if buckets[middle] < value { low = middle + 1 } else { high = middle }
            }
            counts[low] += 1
            sum += value
            count += 1
        }
    }

    private enum Reading: Sendable {
        case value(Double)
        case histogram(Histogram)
    }

    /// What is counted under one set of labels. Changed in place, under the registry's lock.
    private final class Series {
        var value = 0.0
        var histogram: Histogram

        init(_ family: Family) { histogram = Histogram(bucketCount: family.buckets.count) }
    }

    private struct State {
        /// By family and labels.
        var series: [[[String]: Series]]

        mutating func series(_ place: Int, _ labels: [String], _ families: [Family]) -> Series {
            if let series = series[place][labels] { return series }
            let new = Series(families[place])
            series[place][labels] = new
            return new
        }
    }

    private let families: [Family]
    private let places: [String: Int]
    private let state: Mutex<State>

    /// A registry of these metrics. Those without labels show from the start.
    package init(_ families: [Family]) {
        self.families = families
        places = Dictionary(families.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        state = Mutex(
            State(
                series: families.map { $0.labelNames.isEmpty ? [[]: Series($0)] : [:] }))
    }

    package func increment(_ name: String, _ labels: [String] = [], by amount: Double = 1) {
        guard let place = places[name] else { return }
        state.withLock { $0.series(place, labels, families).value += amount }
    }

    package func set(_ name: String, _ labels: [String] = [], to value: Double) {
        guard let place = places[name] else { return }
        state.withLock { $0.series(place, labels, families).value = value }
    }

    /// Adds values to a histogram, all under one lock.
    package func observe(_ name: String, _ labels: [String] = [], _ values: [Double]) {
        guard let place = places[name], !values.isEmpty else { return }
        let buckets = families[place].buckets
        state.withLock { state in
            let series = state.series(place, labels, families)
            for value in values { series.histogram.add(value, buckets) }
        }
    }

    package func observe(_ name: String, _ labels: [String] = [], _ value: Double) { observe(name, labels, [value]) }

    // MARK: Output

    private func snapshot() -> [(Family, [([String], Reading)])] {
        let readings = state.withLock { state in
            zip(families, state.series).map { family, series in
                series.mapValues { family.kind == .histogram ? Reading.histogram($0.histogram) : .value($0.value) }
            }
        }
        return zip(families, readings).map { family, readings in
            (family, readings.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) })
        }
    }

    /// Prometheus's text format, version 0.0.4.
    package func text() -> String {
        var lines: [String] = []
        for (family, series) in snapshot() where !series.isEmpty {
            lines.append("# HELP \(family.name) \(family.help)")
            lines.append("# TYPE \(family.name) \(family.kind.rawValue)")
            for (labels, value) in series {
                for (name, number) in Self.samples(family, labels, value) { lines.append("\(name) \(number)") }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// LoRAX's JSON: `{name: {"type", "data": [{"key", "value"}]}}`, with the labelled name, `sum`, `count` or nothing
    /// as key.
    package func json() -> JSONBytes {
        var json = JSONBytes(capacity: 16384)
        json.openObject()
        for (family, series) in snapshot() where !series.isEmpty {
            json.key(family.name)
            json.openObject()
            json.member("type", family.kind.rawValue)
            json.key("data")
            json.openArray()
            for (labels, value) in series {
                for (name, number) in Self.samples(family, labels, value) {
                    json.openObject()
                    let key =
                        name == family.name
                        ? "" : name == family.name + "_sum" ? "sum" : name == family.name + "_count" ? "count" : name
                    json.member("key", key)
                    json.key("value")
                    json.number(number)
                    json.closeObject()
                }
            }
            json.closeArray()
            json.closeObject()
        }
        json.closeObject()
        return json
    }

    private static func samples(_ family: Family, _ labels: [String], _ value: Reading) -> [(String, Double)] {
        let pairs = zip(family.labelNames, labels).map { "\($0)=\"\(escaped($1))\"" }
        func name(_ suffix: String, _ more: [String] = []) -> String {
            let all = pairs + more
            return family.name + suffix + (all.isEmpty ? "" : "{\(all.joined(separator: ","))}")
        }
        switch value {
        case .value(let number): return [(name(""), number)]
        case .histogram(let histogram):
            var result: [(String, Double)] = []
            var total = 0
            for (bound, count) in zip(family.buckets, histogram.counts) {
                total += count
                result.append((name("_bucket", ["le=\"\(bound)\""]), Double(total)))
            }
            result.append((name("_bucket", ["le=\"+Inf\""]), Double(histogram.count)))
            result.append((name("_sum"), histogram.sum))
            result.append((name("_count"), Double(histogram.count)))
            return result
        }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
