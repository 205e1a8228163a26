import HTTPServing
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingJSON
import ServingRuntime
import Synchronization

/// The metrics of a replica: LoRAX's names, and more that tell adapters and engine apart.
final class ReplicaMetrics: Sendable {
    private let registry: MetricsRegistry
    private let adapterNames = Mutex(Set<String>())

    /// Adapters that have a label of their own; the others share `other`, so that ids made up by clients cost nothing.
    static let adapterLabelLimit = 200

    init(contextLength: Int) { registry = MetricsRegistry(Self.families(contextLength: contextLength)) }

    /// The label of an adapter.
    func label(_ adapter: String?) -> String {
        guard let adapter else { return "" }
        let isKnown = adapterNames.withLock { names in
            if names.count < Self.adapterLabelLimit { names.insert(adapter) }
            return names.contains(adapter)
        }
        return isKnown ? adapter : "other"
    }

    func increment(_ name: String, _ labels: [String] = [], by amount: Double = 1) {
        registry.increment(name, labels, by: amount)
    }

    /// Sets a gauge without labels.
    func set(_ name: String, to value: Double) { registry.set(name, to: value) }

    func observe(_ name: String, _ values: [Double]) { registry.observe(name, [], values) }

    /// A request that came to a failure, by LoRAX's word for it.
    func fail(_ reason: String) { registry.increment("lorax_request_failure", [reason]) }

    /// Takes over what engine and adapters tell now; before each output.
    func update(_ engine: EngineStatistics, _ adapters: AdapterStatistics, inFlight: Int, positionsPerBlock: Int) {
        func set(_ name: String, _ value: Int, _ labels: [String] = []) {
            registry.set(name, labels, to: Double(value))
        }
        set("lorax_queue_length", engine.waitingCount)
        set("lorax_batch_current_size", engine.runningCount)
        set("lorax_batch_current_max_tokens", engine.usedBlockCount * positionsPerBlock)
        set("pbctl_requests_in_flight", inFlight)
        set("pbctl_running_sequences", engine.runningCount)
        set("pbctl_waiting_sequences", engine.waitingCount)
        set("pbctl_kv_blocks", engine.usedBlockCount, ["used"])
        set("pbctl_kv_blocks", engine.cachedBlockCount, ["cached"])
        set("pbctl_kv_blocks", engine.freeBlockCount, ["free"])
        set("pbctl_engine_steps_total", engine.stepCount)
        set("pbctl_engine_failed_steps_total", engine.failedStepCount)
        for (method, count, failureCount) in [
            ("prefill", engine.steps.prefill, engine.failedSteps.prefill),
            ("decode", engine.steps.decode, engine.failedSteps.decode),
            ("embed", engine.steps.embedding, engine.failedSteps.embedding),
        ] {
            set("lorax_batch_inference_count", count, [method])
            set("lorax_batch_inference_success", count - failureCount, [method])
            set("lorax_batch_inference_failure", failureCount, [method])
        }
        set("pbctl_computed_tokens_total", engine.computedTokenCount)
        set("pbctl_preemptions_total", engine.preemptionCount)
        set("pbctl_prefix_cache_hits_total", engine.prefixHitCount)
        set("pbctl_prefix_cache_hit_tokens_total", engine.prefixHitTokenCount)
        set("pbctl_adapters", adapters.deviceCount, ["device"])
        set("pbctl_adapters", adapters.hostCount, ["host"])
        set("pbctl_adapter_bytes", adapters.deviceBytes, ["device"])
        set("pbctl_adapter_bytes", adapters.hostBytes, ["host"])
        set("pbctl_adapters_loading", adapters.loadingCount)
        set("pbctl_adapter_hits_total", adapters.hitCount)
        set("pbctl_adapter_loads_total", adapters.loadCount)
        set("pbctl_adapter_load_failures_total", adapters.failureCount)
        set("pbctl_adapter_evictions_total", adapters.evictionCount)
        ProcessFigures.update(registry)
    }

    /// Takes over how busy the GPU is; what is not told keeps no series.
    func update(_ usage: GPUUsage) {
        let figures: [(String, Double?)] = [
            ("pbctl_gpu_utilization_ratio", usage.utilization),
            ("pbctl_gpu_memory_used_bytes", usage.usedBytes.map { Double($0) }),
            ("pbctl_gpu_memory_total_bytes", usage.totalBytes.map { Double($0) }),
        ]
        for case let (name, value?) in figures { registry.set(name, [usage.device], to: value) }
    }

    func text() -> String { registry.text() }
    func json() -> JSONBytes { registry.json() }

    // MARK: Families

    /// LoRAX's: 0.0001 * 1.5^k s.
    static let durationBuckets: [Double] = (1...35).reduce(into: [Double]()) { buckets, _ in
        buckets.append((buckets.last ?? 0.0001) * 1.5)
    }

    private static func families(contextLength: Int) -> [MetricsRegistry.Family] {
        typealias Family = MetricsRegistry.Family
        let lengths = (1...100).map { (Double(contextLength) * Double($0) / 100).rounded() }
        func histogram(_ name: String, _ help: String, _ buckets: [Double] = durationBuckets) -> Family {
            Family(name: name, kind: .histogram, help: help, buckets: buckets)
        }
        func counter(_ name: String, _ help: String, _ labels: [String] = []) -> Family {
            Family(name: name, kind: .counter, help: help, labelNames: labels)
        }
        func gauge(_ name: String, _ help: String, _ labels: [String] = []) -> Family {
            Family(name: name, kind: .gauge, help: help, labelNames: labels)
        }
        return [
            counter("lorax_request_count", "Requests to generate or embed."),
            counter("lorax_request_success", "Requests that were answered."),
            counter("lorax_request_failure", "Requests that were not.", ["err"]),
            histogram("lorax_request_duration", "Seconds from request to the end of its answer."),
            histogram("lorax_request_validation_duration", "Seconds for validation, tokenizing and the adapter."),
            histogram("lorax_request_queue_duration", "Seconds in the engine's queue."),
            histogram("lorax_request_inference_duration", "Seconds from the first step to the last token."),
            histogram("lorax_request_mean_time_per_token_duration", "Inference seconds divided by tokens."),
            histogram("lorax_request_generated_tokens", "Tokens generated a request.", lengths),
            histogram(
                "lorax_request_skipped_tokens", "Tokens that a speculator guessed right: there is none.", lengths),
            histogram("lorax_request_input_length", "Tokens of prompts.", lengths),
            histogram("lorax_request_max_new_tokens", "Most tokens that requests allow.", lengths),
            counter(
                "lorax_batch_inference_count", "Steps by what they computed; some do several of these.", ["method"]),
            counter("lorax_batch_inference_success", "Those that came to their end.", ["method"]),
            counter("lorax_batch_inference_failure", "Those in which the model failed.", ["method"]),
            gauge("lorax_queue_length", "Sequences that wait."),
            gauge("lorax_batch_current_size", "Sequences in the batch."),
            gauge("lorax_batch_current_max_tokens", "Positions of the KV cache in use."),
            histogram("pbctl_time_to_first_token_seconds", "Seconds from request to its first token."),
            histogram("pbctl_inter_token_seconds", "Seconds between tokens of a sample."),
            histogram("pbctl_adapter_load_seconds", "Seconds that requests waited for their adapter."),
            counter("pbctl_requests_total", "Requests by adapter and outcome.", ["adapter", "outcome"]),
            counter("pbctl_prompt_tokens_total", "Tokens of prompts by adapter.", ["adapter"]),
            counter("pbctl_generated_tokens_total", "Tokens generated by adapter.", ["adapter"]),
            gauge("pbctl_requests_in_flight", "Requests under way."),
            gauge("pbctl_running_sequences", "Sequences computed in steps."),
            gauge("pbctl_waiting_sequences", "Sequences that wait."),
            gauge("pbctl_kv_blocks", "KV blocks in use, kept for their prefixes, and free.", ["state"]),
            gauge("pbctl_load_seconds", "Seconds that loading the model took."),
            counter("pbctl_engine_steps_total", "Steps computed."),
            counter("pbctl_engine_failed_steps_total", "Steps in which the model failed."),
            counter("pbctl_computed_tokens_total", "Tokens computed, recomputed ones counted again."),
            counter("pbctl_preemptions_total", "Times that a sequence gave up its KV blocks."),
            counter("pbctl_prefix_cache_hits_total", "Sequences that found a prefix in the cache."),
            counter("pbctl_prefix_cache_hit_tokens_total", "Prompt tokens that needed no computing."),
            gauge("pbctl_adapters", "Adapters by tier.", ["tier"]),
            gauge("pbctl_adapter_bytes", "Bytes of adapters by tier.", ["tier"]),
            gauge("pbctl_adapters_loading", "Adapter loads under way."),
            counter("pbctl_adapter_hits_total", "Times that an adapter was there when asked for."),
            counter("pbctl_adapter_loads_total", "Times that an adapter had to be loaded."),
            counter("pbctl_adapter_load_failures_total", "Adapter loads that failed."),
            counter("pbctl_adapter_evictions_total", "Adapters dropped for others."),
            gauge(
                "pbctl_gpu_utilization_ratio", "Share of the time in which kernels ran, of all programs.", ["device"]),
            gauge("pbctl_gpu_memory_used_bytes", "Bytes of the GPU's memory in use, by all programs.", ["device"]),
            gauge("pbctl_gpu_memory_total_bytes", "Bytes of the GPU's memory.", ["device"]),
        ] + ProcessFigures.families
    }
}
