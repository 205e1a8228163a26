/// An argument that may stand in a config's `customArgs`: one of `pbctl engine serve`, or of LoRAX's launcher
/// (predibase/lorax `launcher/src/main.rs`), or one of vLLM's that are often given in their place.
struct EngineArgument: Sendable {
    enum Kind: Sendable {
        case flag
        /// `true` or `false`, or nothing, which is `true`.
        case toggle
        case count(ClosedRange<Int>)
        /// A number of bytes with a unit (`4G`).
        case size
        case text
        case choice([String])
        /// Everything up to the next option.
        case list
    }

    enum Meaning: Sendable {
        /// It becomes this option of `pbctl engine serve`.
        case option(String)
        /// Accepted, and of no effect for this reason.
        case noEffect(String)
        /// Refused, with what to do instead.
        case refused(String)
    }

    let kind: Kind
    let meaning: Meaning

    /// All that are known, by name.
    static let all: [String: EngineArgument] = {
        var table: [String: EngineArgument] = [:]
        func add(_ names: [String], _ kind: Kind, _ meaning: Meaning) {
            for name in names { table["--\(name)"] = EngineArgument(kind: kind, meaning: meaning) }
        }
        addOptions(add)
        addIneffective(add)
        addRefused(add)
        return table
    }()

    private typealias Adding = (_ names: [String], _ kind: Kind, _ meaning: Meaning) -> Void

    private static func addOptions(_ add: Adding) {
        let sources = ["hub", "local", "pbase"]
        add(["device"], .text, .option("--device"))
        add(["threads"], .count(1...1024), .option("--threads"))
        add(["context", "max-total-tokens", "max-model-len"], .count(ConfigRange.totalTokens), .option("--context"))
        add(["kv-memory"], .size, .option("--kv-memory"))
        add(["float32"], .flag, .option("--float32"))
        add(["deterministic"], .flag, .option("--deterministic"))
        add(["no-prefix-cache"], .flag, .option("--no-prefix-cache"))
        add(["prefix-caching"], .toggle, .option("--prefix-caching"))
        add(
            ["max-batched-tokens", "max-batch-prefill-tokens", "max-num-batched-tokens"],
            .count(ConfigRange.batchedTokens), .option("--max-batched-tokens"))
        add(["max-batch-size", "max-num-seqs"], .count(1...4096), .option("--max-batch-size"))
        add(["max-concurrent-requests"], .count(1...1 << 20), .option("--max-concurrent-requests"))
        add(["max-body-size"], .size, .option("--max-body-size"))
        add(["served-model-name"], .text, .option("--served-model-name"))
        add(["adapter-root"], .text, .option("--adapter-root"))
        add(
            ["adapter-source", "default-adapter-source", "preloaded-adapter-source"], .choice(sources),
            .option("--adapter-source"))
        add(["adapter-memory"], .size, .option("--adapter-memory"))
        add(["preloaded-adapter-ids"], .list, .option("--preloaded-adapter-ids"))
        add(["merge-adapter"], .text, .option("--merge-adapter"))
        add(["lorax-compat"], .flag, .option("--lorax-compat"))
    }

    private static func addIneffective(_ add: Adding) {
        add(
            ["max-active-adapters"], .count(0...1 << 20),
            .noEffect("adapters stay while memory lasts (--adapter-memory)"))
        add(["adapter-memory-fraction"], .text, .noEffect("give --adapter-memory a size instead"))
        add(["adapter-cycle-time-s"], .text, .noEffect("adapters take turns in every step"))
        add(
            ["max-input-length", "max-best-of", "max-stop-sequences"], .text,
            .noEffect("the limit is on the tokens of a request (--max-total-tokens)"))
        add(
            ["waiting-served-ratio", "max-batch-total-tokens", "max-waiting-tokens", "validation-workers"], .text,
            .noEffect("the engine schedules by one budget of tokens a step (--max-batched-tokens)"))
        add(
            ["eager-prefill", "chunked-prefill", "enable-chunked-prefill"], .toggle,
            .noEffect("prompts are computed in parts"))
        add(["compile", "eager", "enforce-eager"], .flag, .noEffect("there are no graphs to compile"))
        add(
            ["compile-max-batch-size", "compile-max-rank", "compile-batch-size"], .text,
            .noEffect("there are no graphs to compile"))
        add(
            ["speculative-tokens", "speculation-max-batch-size"], .text, .noEffect("tokens are not speculated on"))
        add(["disable-sgmv", "disable-custom-kernels"], .flag, .noEffect("there is one set of kernels"))
        add(["backend", "dtype"], .text, .noEffect("the engine chooses by the model's files"))
        add(["sharded"], .toggle, .noEffect("a replica runs on one device"))
        add(["num-shard", "tensor-parallel-size"], .text, .noEffect("a replica runs on one device"))
        add(
            ["cuda-memory-fraction", "memory-wiggle-room", "gpu-memory-utilization"], .text,
            .noEffect("give --kv-memory a size instead"))
        add(["trust-remote-code", "json-output"], .flag, .noEffect("there is no such thing here"))
        add(["source", "huggingface-hub-cache", "weights-cache-override"], .text, .noEffect("models are local files"))
        add(["otlp-endpoint", "watermark-gamma", "watermark-delta"], .text, .noEffect("there is no such thing here"))
        add(
            ["cors-allow-origin", "cors-allow-header", "cors-allow-method", "cors-expose-header"], .list,
            .noEffect("clients talk to the server's gateway, not to replicas"))
        add(["cors-allow-credentials"], .toggle, .noEffect("clients talk to the server's gateway, not to replicas"))
    }

    private static func addRefused(_ add: Adding) {
        add(["model", "model-id", "revision"], .text, .refused("name the model in baseModel"))
        add(["quantize"], .text, .refused("use the field quantization"))
        add(
            ["host", "hostname", "port", "api-key", "ready-file", "master-addr", "master-port", "shard-uds-path"],
            .text,
            .refused("the server sets what its replicas listen on"))
        add(["adapter-id"], .text, .refused("use the field preloadedAdapters"))
        add(["merge-adapter-weights"], .flag, .refused("use the fields preloadedAdapters and mergeAdapter"))
        add(
            ["predibase-api-token", "ngrok-authtoken"], .text,
            .refused("tokens don't belong into arguments, which every user of the machine can read"))
        add(
            ["ngrok", "ngrok-edge", "env", "download-only", "local", "help", "version"], .flag, .refused("leave it out")
        )
        add(["task"], .text, .refused("text generation and embeddings are served; leave it out"))
        add(["tokenizer-config-path", "embedding-dim"], .text, .refused("the model's own files decide; leave it out"))
    }
}
