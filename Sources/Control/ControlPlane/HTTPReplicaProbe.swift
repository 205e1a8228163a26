package import AsyncHTTPClient
package import Deployments
package import NIOCore
import NIOHTTP1
import ServingJSON

/// Probes `pbctl engine serve` over HTTP.
package struct HTTPReplicaProbe: ReplicaProbing {
    private let client: HTTPClient
    /// Longest that an answer to a health check may take.
    private let healthTimeout: TimeAmount
    /// Longest that the one token may take: the first step of a large model compiles and warms what it needs.
    private let answerTimeout: TimeAmount

    package init(
        client: HTTPClient, healthTimeout: TimeAmount = .seconds(2), answerTimeout: TimeAmount = .seconds(120)
    ) {
        self.client = client
        self.healthTimeout = healthTimeout
        self.answerTimeout = answerTimeout
    }

    package func health(_ endpoint: ReplicaEndpoint) async -> ReplicaHealth {
        let (status, body): (Int, [UInt8])
        do {
            (status, body) = try await get(endpoint.url + "/health", atMost: 4096)
        } catch {
            return .unreachable(Self.words(error))
        }
        if status == 200 { return .healthy }
        guard let json = try? JSONValue(parsing: body) else {
            return .unreachable("health check gave status \(status)")
        }
        switch json["status"]?.stringValue {
        case "loading": return .loading(percent: min(100, max(0, json["percent"]?.intValue ?? 0)))
        case "draining": return .draining
        default: return .unreachable("health check gave status \(status)")
        }
    }

    package func failureToAnswer(_ endpoint: ReplicaEndpoint) async -> String? {
        do {
            var request = HTTPClientRequest(url: endpoint.url + "/generate")
            request.method = .POST
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(
                Array(#"{"inputs":"1","parameters":{"max_new_tokens":1,"details":false}}"#.utf8))
            let answer = try await client.execute(request, timeout: answerTimeout)
            let text = try await answer.body.collect(upTo: 1 << 20)
            if answer.status == .ok { return nil }
            let body = try? JSONValue(parsing: Array(text.readableBytesView))
            return "status \(answer.status.code): \(body?["error"]?.stringValue ?? "no reason given")"
        } catch {
            return Self.words(error)
        }
    }

    package func usage(_ endpoint: ReplicaEndpoint) async -> ReplicaUsage? {
        guard let (status, body) = try? await get(endpoint.url + "/metrics", atMost: 4 << 20), status == 200 else {
            return nil
        }
        return ReplicaUsage(prometheusText: String(decoding: body, as: UTF8.self))
    }

    private func get(_ url: String, atMost bytes: Int) async throws -> (Int, [UInt8]) {
        let answer = try await client.execute(HTTPClientRequest(url: url), timeout: healthTimeout)
        let body = try await answer.body.collect(upTo: bytes)
        return (Int(answer.status.code), Array(body.readableBytesView))
    }

    private static func words(_ error: any Error) -> String {
        if let error = error as? HTTPClientError { return error.shortDescription }
        return String(String(describing: error).prefix(200))
    }
}

extension ReplicaUsage {
    /// Reads what a process exports about itself in Prometheus' text form; nil where it tells no CPU time.
    package init?(prometheusText text: String) {
        var found: [Substring: Double] = [:]
        let names: Set<Substring> = [
            "process_cpu_seconds_total", "process_resident_memory_bytes", "pbctl_gpu_utilization_ratio",
            "pbctl_gpu_memory_used_bytes",
        ]
        for line in text.split(separator: "\n") {
            guard let space = line.lastIndex(of: " ") else { continue }
            let name = line[..<space].prefix { $0 != "{" }
            if names.contains(name), let value = Double(line[line.index(after: space)...]) { found[name] = value }
        }
        guard let cpuSeconds = found["process_cpu_seconds_total"] else { return nil }
        func bytes(_ name: Substring) -> Int? { found[name].flatMap { Int(exactly: $0.rounded()) } }
        self.init(
            cpuSeconds: cpuSeconds, gpuUtilization: found["pbctl_gpu_utilization_ratio"].flatMap(Self.share),
            gpuMemoryBytes: bytes("pbctl_gpu_memory_used_bytes"),
            residentBytes: bytes("process_resident_memory_bytes") ?? 0)
    }

    /// A replica is believed no nonsense.
    private static func share(_ value: Double) -> Double? { (0...1).contains(value) ? value : nil }
}
