package import Deployments
import HTTPServing
package import ServingJSON
import Synchronization

/// The metrics of the gateway: LoRAX's names with labels for deployment and adapter, and its own.
package final class GatewayMetrics: Sendable {
    private let registry = MetricsRegistry(families)
    /// Adapters by deployment that have a label of their own.
    private let adapters = Mutex<[String: Set<String>]>([:])

    /// Adapters a deployment that have a label of their own; the others share `other`, so that ids made up by clients
    /// cost nothing.
    package static let adapterLabelLimit = 100

    package init() {}

    /// The labels of a request.
    func labels(_ deployment: DeploymentName, _ adapter: String?) -> [String] {
        guard let adapter else { return [deployment.text, ""] }
        let isKnown = adapters.withLock { adapters in
            if adapters[deployment.text, default: []].count < Self.adapterLabelLimit {
                adapters[deployment.text, default: []].insert(adapter)
            }
            return adapters[deployment.text]?.contains(adapter) ?? false
        }
        return [deployment.text, isKnown ? adapter : "other"]
    }

    // MARK: What happens

    func begin(_ labels: [String]) { registry.increment("lorax_request_count", labels) }

    func retried(_ deployment: DeploymentName) { registry.increment("pbctl_gateway_retries_total", [deployment.text]) }

    func resumed(_ deployment: DeploymentName) {
        registry.increment("pbctl_gateway_resumptions_total", [deployment.text])
    }

    func upstreamFailed(_ deployment: DeploymentName, _ kind: String) {
        registry.increment("pbctl_gateway_upstream_errors_total", [deployment.text, kind])
    }

    /// A request has ended.
    ///
    /// - Parameters:
    ///   - failure: LoRAX's word for why it failed; nil where it did not.
    ///   - waited: for a replica.
    ///   - added: time that the gateway itself took.
    func end(_ sample: RequestSample, _ labels: [String], failure: String?, waited: Duration, added: Duration?) {
        registry.increment("pbctl_gateway_requests_total", labels + [sample.outcome.rawValue])
        registry.observe("pbctl_gateway_wait_seconds", [labels[0]], waited.inSeconds)
        if let added { registry.observe("pbctl_gateway_added_seconds", [labels[0]], added.inSeconds) }
        if let failure {
            registry.increment("lorax_request_failure", labels + [failure])
            return
        }
        registry.increment("lorax_request_success", labels)
        registry.observe("lorax_request_duration", labels, sample.totalDuration.inSeconds)
        registry.observe("lorax_request_queue_duration", labels, sample.queueDuration.inSeconds)
        registry.observe("lorax_request_inference_duration", labels, sample.inferenceDuration.inSeconds)
        if let first = sample.timeToFirstToken {
            registry.observe("pbctl_time_to_first_token_seconds", labels, first.inSeconds)
        }
        if let between = sample.interTokenDuration {
            registry.observe("pbctl_inter_token_seconds", labels, between.inSeconds)
        }
        guard sample.generatedTokenCount > 0 else { return }
        let count = Double(sample.generatedTokenCount)
        registry.observe(
            "lorax_request_mean_time_per_token_duration", labels, sample.inferenceDuration.inSeconds / count)
        registry.observe("lorax_request_generated_tokens", labels, count)
        registry.observe("lorax_request_input_length", labels, Double(sample.promptTokenCount))
        registry.increment("pbctl_generated_tokens_total", labels, by: count)
        registry.increment("pbctl_prompt_tokens_total", labels, by: Double(sample.promptTokenCount))
    }

    /// Takes over how busy a deployment is; before each output.
    package func update(_ deployment: DeploymentName, _ load: LoadReading) {
        registry.set("lorax_queue_length", [deployment.text], to: Double(load.queuedCount))
        registry.set("pbctl_gateway_requests_in_flight", [deployment.text], to: Double(load.runningCount))
    }

    // MARK: Output

    /// Prometheus's text format.
    package var text: String { registry.text() }

    /// What of the text is about one deployment.
    package func text(of deployment: DeploymentName) -> String {
        let label = "deployment=\"\(deployment)\""
        return text.split(separator: "\n").filter { $0.hasPrefix("#") || $0.contains(label) }.joined(separator: "\n")
            + "\n"
    }

    /// LoRAX's JSON of what is about one deployment.
    package func json(of deployment: DeploymentName) -> JSONValue {
        let label = "deployment=\"\(deployment)\""
        var result = JSONObject()
        guard let all = try? JSONValue(parsing: registry.json().bytes).objectValue else { return .object(result) }
        for (name, family) in all.members {
            let data = family["data"]?.arrayValue?.filter { $0["key"]?.stringValue?.contains(label) ?? false } ?? []
            guard !data.isEmpty else { continue }
            result[name] = .object(JSONObject([("type", family["type"] ?? .null), ("data", .array(data))]))
        }
        return .object(result)
    }

    // MARK: Families

    /// LoRAX's: 0.0001 * 1.5^k s.
    private static let durations: [Double] = (1...35).reduce(into: [Double]()) { buckets, _ in
        buckets.append((buckets.last ?? 0.0001) * 1.5)
    }
    /// Powers of two: deployments have contexts of all sizes.
    private static let lengths: [Double] = (0...20).map { Double(1 << $0) }

    private static let families: [MetricsRegistry.Family] = {
        typealias Family = MetricsRegistry.Family
        let both = ["deployment", "adapter"]
        func counter(_ name: String, _ help: String, _ labels: [String]) -> Family {
            Family(name: name, kind: .counter, help: help, labelNames: labels)
        }
        func duration(_ name: String, _ help: String, _ labels: [String]) -> Family {
            Family(name: name, kind: .histogram, help: help, labelNames: labels, buckets: durations)
        }
        func length(_ name: String, _ help: String) -> Family {
            Family(name: name, kind: .histogram, help: help, labelNames: both, buckets: lengths)
        }
        func gauge(_ name: String, _ help: String) -> Family {
            Family(name: name, kind: .gauge, help: help, labelNames: ["deployment"])
        }
        return [
            counter("lorax_request_count", "Requests that were led to a deployment.", both),
            counter("lorax_request_success", "Requests that were answered.", both),
            counter("lorax_request_failure", "Requests that were not.", both + ["err"]),
            duration("lorax_request_duration", "Seconds from request to the end of its answer.", both),
            duration("lorax_request_queue_duration", "Seconds in queues, the gateway's and the replica's.", both),
            duration("lorax_request_inference_duration", "Seconds from the first step to the last token.", both),
            duration("lorax_request_mean_time_per_token_duration", "Inference seconds divided by tokens.", both),
            length("lorax_request_generated_tokens", "Tokens generated a request."),
            length("lorax_request_input_length", "Tokens of prompts."),
            gauge("lorax_queue_length", "Requests that wait for a replica."),
            duration("pbctl_time_to_first_token_seconds", "Seconds from request to its first token.", both),
            duration("pbctl_inter_token_seconds", "Mean seconds between tokens of a request.", both),
            counter("pbctl_prompt_tokens_total", "Tokens of prompts.", both),
            counter("pbctl_generated_tokens_total", "Tokens generated.", both),
            counter("pbctl_gateway_requests_total", "Requests by outcome.", both + ["outcome"]),
            gauge("pbctl_gateway_requests_in_flight", "Requests that replicas work on."),
            duration("pbctl_gateway_wait_seconds", "Seconds that requests waited for a replica.", ["deployment"]),
            duration("pbctl_gateway_added_seconds", "Seconds that the gateway itself took.", ["deployment"]),
            counter("pbctl_gateway_retries_total", "Requests sent to another replica.", ["deployment"]),
            counter("pbctl_gateway_resumptions_total", "Streams carried on by another replica.", ["deployment"]),
            counter(
                "pbctl_gateway_upstream_errors_total", "Replicas that refused or broke off.", ["deployment", "kind"]),
        ]
    }()
}
