import Deployments
import ServingJSON
import Testing

struct ReplicaTemplateTests {
    private func arguments(_ value: JSONValue) throws -> [String] {
        var fields = try #require(value.objectValue)
        fields["baseModel"] = "m"
        let config = try DeploymentConfig(creating: .object(fields))
        let arguments = ReplicaTemplate(config: config, restartCount: 0).engineArguments()
        #expect(arguments.starts(with: ["engine", "serve", "--model", "m"]))
        return Array(arguments.dropFirst(4))
    }

    private func fault(_ customArguments: [String]) -> String? {
        do throws(DeploymentConfigError) {
            _ = try DeploymentConfig(
                creating: ["baseModel": "m", "customArgs": .array(customArguments.map { .string($0) })])
            return nil
        } catch { return error.description }
    }

    @Test func defaultsAddNothing() throws {
        let none = try arguments([:])
        #expect(none == [])
    }

    @Test(
        arguments: [
            (["--max-total-tokens", "2048"], ["--context", "2048"]),
            (["--max-batch-prefill-tokens=4096"], ["--max-batched-tokens", "4096"]),
            (["--max_concurrent_requests", "9"], ["--max-concurrent-requests", "9"]),
            (["--adapter-source", "pbase"], ["--adapter-source", "pbase"]),
            (
                ["--preloaded-adapter-ids", "a", "b", "--threads", "2"],
                ["--preloaded-adapter-ids", "a", "b", "--threads", "2"]
            ),
            (["--prefix-caching", "false"], ["--no-prefix-cache"]), (["--prefix-caching"], []),
            (["--lorax-compat", "--kv-memory", "1.5GiB"], ["--lorax-compat", "--kv-memory", "1.5GiB"]),
            (["--max-active-adapters", "128", "--eager"], []), (["--max-num-seqs", "8"], ["--max-batch-size", "8"]),
            (["--threads", "2", "--threads", "3"], ["--threads", "3"]), ([], []),
        ] as [([String], [String])])
    func launcherArgumentsAreTranslated(custom: [String], expected: [String]) throws {
        let given = try arguments(["customArgs": .array(custom.map { .string($0) })])
        #expect(given == expected)
    }

    @Test(
        arguments: [
            (["--host", "0.0.0.0"], "--host"), (["--port=1"], "--port"), (["-p", "1"], "--port"),
            (["--api-key", "k"], "--api-key"), (["--ready-file", "/x"], "--ready-file"),
            (["--model", "x"], "baseModel"),
            (["-m", "x"], "baseModel"), (["--model-id", "x"], "baseModel"), (["--quantize", "fp8"], "quantization"),
            (["--task", "classify"], "text generation"), (["--thread", "4"], "did you mean --threads?"),
            (["--frobnicate"], "unknown option"), (["stray"], "belongs to no option"),
            (["--threads", "x"], "1 to 1024"),
            (["--threads"], "1 to 1024"), (["--threads", "--eager"], "1 to 1024"), (["--kv-memory", "much"], "a size"),
            (["--adapter-source", "s3"], "hub, local, pbase"), (["--preloaded-adapter-ids"], "at least one"),
            (["--float32=1"], "takes no value"), (["--prefix-caching=maybe"], "true or false"), ([""], "belongs to no"),
            (["--adapter-root", ""], "expected a value"), (["--", "x"], "unknown option"),
        ] as [([String], String)])
    func argumentsThatCannotBeGivenAreRefused(custom: [String], hint: String) {
        #expect(fault(custom)?.contains(hint) == true, "\(fault(custom) ?? "accepted")")
    }

    @Test func customArgumentsWinOverFields() throws {
        let given = try arguments([
            "maxTotalTokens": 100, "maxNumBatchedTokens": 64, "prefixCaching": false,
            "customArgs": ["--max-total-tokens", "200", "--prefix-caching", "true"],
        ])
        #expect(given == ["--context", "200", "--max-batched-tokens", "64"])
    }

    @Test(
        arguments: [
            (["news/1", "sport"], [], ["--adapter-source", "pbase", "--preloaded-adapter-ids", "news/1", "sport"]),
            (["hf:o/a", "o/b"], [], ["--adapter-source", "hub", "--preloaded-adapter-ids", "o/a", "o/b"]),
            (
                ["a", "b/c/d"], ["--adapter-root", "/r"],
                ["--adapter-root", "/r", "--preloaded-adapter-ids", "a", "b/c/d"]
            ),
            (
                ["a", "b"], ["--preloaded-adapter-ids", "c", "b", "--adapter-source", "pbase"],
                ["--preloaded-adapter-ids", "a", "b", "c", "--adapter-source", "pbase"]
            ),
        ] as [([String], [String], [String])])
    func preloadedAdaptersComeFromOnePlace(adapters: [String], custom: [String], expected: [String]) throws {
        let given = try arguments([
            "preloadedAdapters": .array(adapters.map { .string($0) }),
            "customArgs": .array(custom.map { .string($0) }),
        ])
        #expect(given == expected)
    }

    @Test(
        arguments: [(["news/1", "o/a"], "another place"), (["/folder"], "'pbctl adapters add'")] as [([String], String)]
    )
    func preloadedAdaptersThatNoSourceHoldsAreRefused(adapters: [String], hint: String) {
        let value: JSONValue = ["baseModel": "m", "preloadedAdapters": .array(adapters.map { .string($0) })]
        let error = #expect(throws: DeploymentConfigError.self) { _ = try DeploymentConfig(creating: value) }
        #expect(error?.description.contains(hint) == true)
    }

    @Test(
        arguments: [
            ("news/1", [], "news/1"), ("o/a", [], "hf:o/a"), ("hf:o/a", [], "hf:o/a"), ("/folder", [], "/folder"),
            ("o/a", ["--adapter-root", "/r"], "/r/o/a"),
        ] as [(String, [String], String)])
    func mergedAdapterIsNamedAsTheEngineTakesIt(adapter: String, custom: [String], expected: String) throws {
        let given = try arguments([
            "preloadedAdapters": [.string(adapter)], "mergeAdapter": true,
            "customArgs": .array(custom.map { .string($0) }),
        ])
        #expect(given == custom + ["--merge-adapter", expected])
    }

    @Test func tokenGoesIntoTheEnvironmentOnly() throws {
        let config = try DeploymentConfig(creating: ["baseModel": "m", "hfToken": "hf_secret"])
        let template = ReplicaTemplate(config: config, restartCount: 0)
        #expect(template.engineEnvironment() == ["HF_TOKEN": "hf_secret"])
        #expect(!template.engineArguments().contains { $0.contains("hf_secret") })
    }

    /// Replicas that an earlier pbctl started are known by these.
    @Test func marksNeverChange() {
        var config = DeploymentConfig(baseModel: "tiny")
        #expect(ReplicaTemplate(config: config, restartCount: 0).mark == "f6a8d999af15f9e7")
        #expect(ReplicaTemplate(config: config, restartCount: 1).mark == "06d0941afccb0f20")
        config.maxTotalTokens = 4096
        config.preloadedAdapters = ["news/1"]
        #expect(ReplicaTemplate(config: config, restartCount: 0).mark == "5efc342574c05a43")
    }

    @Test func everyFieldButTheScalingOnesMakesAnotherMark() throws {
        var generator = SeededGenerator(seed: 8)
        var spec = try DeploymentSpec(
            name: DeploymentName("d"), id: "1", config: DeploymentConfig(baseModel: "m"),
            createdAt: Timestamp(milliseconds: 0))
        let mark = spec.template.mark
        let scaling: Set<DeploymentConfigField> = [
            .cooldownTime, .minReplicas, .maxReplicas, .scaleUpRequestThreshold, .usesGuaranteedCapacity,
            .requestLoggingEnabled,
        ]
        for _ in 0..<500 {
            let config = DeploymentConfig.random(using: &generator)
            spec.config = config
            let changed = Set(config.changedFields).subtracting(scaling).subtracting([.baseModel])
            let isSame = changed.isEmpty && config.baseModel == "m"
            #expect((spec.template.mark == mark) == isSame)
        }
        spec.config = DeploymentConfig(baseModel: "m")
        spec.config.minReplicas = 1
        spec.config.cooldown = .seconds(5)
        #expect(spec.template.mark == mark)
        spec.restartCount = 1
        #expect(spec.template.mark != mark)
    }
}
