import Glibc
import LoadGenerator
import ServingJSON

/// What a load showed, as people and as programs read it.
struct LoadSummary {
    let report: LoadReport
    let workload: Workload
    let template: RequestTemplate
    let url: String
    let limits: LoadLimits
    /// Processor seconds that the load generator itself took.
    let clientSeconds: Double

    private func rate(_ count: Int) -> Double { report.wallSeconds > 0 ? Double(count) / report.wallSeconds : 0 }

    private var rows: [(name: String, key: String, summary: LatencySummary?)] {
        [
            ("time to first token", "time_to_first_token_seconds", report.timeToFirstToken),
            ("inter-token latency", "inter_token_latency_seconds", report.interTokenLatency),
            ("time per output token", "time_per_output_token_seconds", report.timePerOutputToken),
            ("end to end", "latency_seconds", report.latency),
        ]
    }

    // MARK: For people

    var table: String {
        let wall = report.wallSeconds
        var text = "requests  \(report.successCount) ok, \(report.failureCount) failed"
        if report.shortCount > 0 { text += ", \(report.shortCount) shorter than asked for" }
        text += " in \(wall.formatted(decimals: 2)) s (\(rate(report.successCount).formatted(decimals: 2))/s)\n"
        if let count = report.promptTokens {
            text += "prompt    \(count) tokens (\(rate(count).formatted(decimals: 1))/s)\n"
        }
        text += "output    \(report.outputTokens) tokens (\(rate(report.outputTokens).formatted(decimals: 1))/s)\n"
        if workload.adapterCount > 0 { text += adapterLines }
        text += "seed      \(workload.seed)\n\n"
        var latencies = TextTable(["ms", "mean", "p50", "p90", "p99", "max"])
        for row in rows {
            let values = row.summary.map { [$0.mean, $0.p50, $0.p90, $0.p99, $0.maximum] }
            let cells = values?.map { ($0 * 1000).formatted(decimals: 1) } ?? Array(repeating: "-", count: 5)
            latencies.add([row.name] + cells)
        }
        text += latencies.text
        for failure in report.failures {
            text += "\n\(failure.count) x \(failure.kind): \(failure.example.message.onOneLine)"
        }
        return report.failures.isEmpty ? text : text + "\n"
    }

    private var adapterLines: String {
        let counts = report.adapters.map(\.requestCount).sorted()
        guard let least = counts.first, let most = counts.last else { return "" }
        var text = "adapters  \(counts.count) of \(workload.adapterCount) (\(workload.popularity.text)), "
        text += least == most ? "\(most) requests each\n" : "\(least) to \(most) requests each\n"
        return text
    }

    // MARK: For programs

    var json: JSONValue {
        var members = JSONObject(settings)
        for (key, value) in results { members[key] = value }
        return .object(members)
    }

    private var settings: [(String, JSONValue)] {
        [
            ("url", .string(url)), ("api", .string(template.api.rawValue)),
            ("seed", .integer(Int64(clamping: workload.seed))),
            ("concurrency", .integer(Int64(limits.concurrency))),
            ("rate", workload.rate.map { .number($0) } ?? .null),
            ("adapters", .integer(Int64(workload.adapterCount))), ("popularity", .string(workload.popularity.text)),
        ]
    }

    private var results: [(String, JSONValue)] {
        var results: [(String, JSONValue)] = [
            ("requests_ok", .integer(Int64(report.successCount))),
            ("requests_failed", .integer(Int64(report.failureCount))),
            ("requests_short", .integer(Int64(report.shortCount))),
            ("failures", .array(report.failures.map(Self.failure))),
            ("wall_seconds", .number(report.wallSeconds)),
            ("requests_per_second", .number(rate(report.successCount))),
            ("prompt_tokens", report.promptTokens.map { .integer(Int64($0)) } ?? .null),
            ("output_tokens", .integer(Int64(report.outputTokens))),
            ("prompt_tokens_per_second", report.promptTokens.map { .number(rate($0)) } ?? .null),
            ("output_tokens_per_second", .number(rate(report.outputTokens))),
        ]
        results += rows.map { ($0.key, $0.summary.map(Self.latency) ?? .null) }
        results.append(("distinct_adapters", .integer(Int64(report.adapters.count))))
        results.append(("by_adapter", .array(report.adapters.map(Self.adapter))))
        results.append(("client_cpu_seconds", .number(clientSeconds)))
        return results
    }

    private static func failure(_ failure: LoadReport.Failures) -> JSONValue {
        [
            "kind": .string(failure.kind), "count": .integer(Int64(failure.count)),
            "example": .string(failure.example.message),
        ]
    }

    private static func latency(_ summary: LatencySummary) -> JSONValue {
        [
            "mean": .number(summary.mean), "p50": .number(summary.p50), "p90": .number(summary.p90),
            "p99": .number(summary.p99), "max": .number(summary.maximum), "count": .integer(Int64(summary.count)),
        ]
    }

    private static func adapter(_ counts: LoadReport.AdapterCounts) -> JSONValue {
        [
            "id": .string(counts.id), "requests": .integer(Int64(counts.requestCount)),
            "failed": .integer(Int64(counts.failureCount)), "output_tokens": .integer(Int64(counts.outputTokens)),
            "time_to_first_token_seconds": counts.timeToFirstToken.map(latency) ?? .null,
        ]
    }
}

/// Processor time of this process.
struct ProcessorTime {
    private let start = Self.now()

    /// Seconds since this value was made.
    func elapsed() -> Double { Self.now() - start }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
