import Deployments
import ServingJSON
import Testing

struct DeploymentConfigTests {
    private func faults(creating value: JSONValue) -> [ConfigFault] {
        do throws(DeploymentConfigError) {
            _ = try DeploymentConfig(creating: value)
            return []
        } catch { return error.faults }
    }

    private func faults(_ config: DeploymentConfig, updatedBy value: JSONValue) -> [ConfigFault] {
        do throws(DeploymentConfigError) {
            _ = try config.updated(by: value)
            return []
        } catch { return error.faults }
    }

    @Test func bodyOfPredibasesSDKWithNullsGivesTheDefaults() throws {
        var body = JSONObject(DeploymentConfigField.allCases.map { ($0.wireName, JSONValue.null) })
        body["baseModel"] = "qwen3-0-6b"
        body["maxReplicas"] = 2
        var expected = DeploymentConfig(baseModel: "qwen3-0-6b")
        expected.maxReplicas = 2
        let config = try DeploymentConfig(creating: .object(body))
        #expect(config == expected)
    }

    @Test func everyFieldReadsInBothSpellings() throws {
        let values: [(DeploymentConfigField, JSONValue, JSONValue)] = [
            (.baseModel, "m", "m"), (.accelerator, "a10", "a10"),
            (
                .computeSpec, ["requests": ["inference": ["sku": "s"]], "region": "eu"],
                ["requests": ["inference": ["sku": "s"]], "region": "eu"]
            ),
            (.cooldownTime, 60.0, 60), (.hfToken, "t", "t"), (.minReplicas, 1, 1), (.maxReplicas, 4, 4),
            (.scaleUpRequestThreshold, 3, 3), (.quantization, "fp8", "fp8"), (.usesGuaranteedCapacity, true, true),
            (.maxTotalTokens, 4096, 4096), (.maxNumBatchedTokens, 512, 512), (.loraxImageTag, "x", "x"),
            (.requestLoggingEnabled, true, true), (.directIngress, true, true), (.preloadedAdapters, ["a/1"], ["a/1"]),
            (.speculator, "disabled", "disabled"), (.speculationDisableByBatchSize, 8, 8),
            (.prefixCaching, false, false), (.chunkedPrefill, true, true), (.backend, "v2", "v2"),
            (.disableAdapters, false, false), (.mergeAdapter, true, true), (.cacheModel, true, true),
            (.customArgs, ["threads": 2, "lorax-compat": ""], ["--threads", "2", "--lorax-compat"]),
        ]
        #expect(Set(values.map(\.0)) == Set(DeploymentConfigField.allCases))
        let camel = JSONObject(values.map { ($0.0.wireName, $0.1) })
        let snake = JSONObject(values.map { ($0.0.snakeName, $0.1) })
        let config = try DeploymentConfig(creating: .object(camel))
        let sameConfig = try DeploymentConfig(creating: .object(snake))
        #expect(config == sameConfig)
        for (field, _, expected) in values { #expect(config.json(of: field) == expected, "\(field)") }
    }

    @Test func namesOfEarlierPredibasesAreTaken() throws {
        let config = try DeploymentConfig(
            creating: ["base_model": "m", "quantize": "fp8", "scale_up_threshold": 7])
        #expect(config.quantization == "fp8")
        #expect(config.scaleUpThreshold == 7)
    }

    @Test(
        arguments: [
            ("minReplicas", -1, "0 to 1000"), ("minReplicas", 1001, "0 to 1000"), ("maxReplicas", 0, "1 to 1000"),
            ("maxReplicas", 1_000_000_000, "1 to 1000"), ("cooldownTime", 0, "1 to 604800"),
            ("cooldownTime", 604_801, "1 to 604800"), ("scaleUpRequestThreshold", 0, "1 to 10000"),
            ("maxTotalTokens", 1, "2 to 16777216"), ("maxTotalTokens", 16_777_217, "2 to 16777216"),
            ("maxNumBatchedTokens", 1_048_577, "1 to 1048576"),
        ] as [(String, Int64, String)])
    func numbersOutOfRangeAreRefusedWithTheRange(field: String, value: Int64, range: String) {
        let faults = faults(creating: ["baseModel": "m", field: .integer(value)])
        #expect(faults.map(\.field) == [field])
        #expect(faults.first?.value == .integer(value))
        #expect(faults.first?.expected.contains(range) == true)
    }

    @Test(arguments: [3.5, "3", true, [], .number(.nan), .number(1e300)] as [JSONValue])
    func whatIsNoWholeNumberIsRefused(value: JSONValue) {
        #expect(faults(creating: ["baseModel": "m", "minReplicas": value]).map(\.field) == ["minReplicas"])
    }

    @Test(
        arguments: [
            ("quantization", "int3"), ("backend", "v4"), ("prefixCaching", "yes"), ("preloadedAdapters", "a"),
            ("preloadedAdapters", [""]), ("preloadedAdapters", ["a\u{1}b"]), ("preloadedAdapters", ["a", "a"]),
            ("preloadedAdapters", [1]), ("customArgs", ["--threads", 4]), ("customArgs", ["--threads", "a\0"]),
            ("customArgs", "--threads 4"), ("computeSpec", "gpu"), ("computeSpec", ["requests": [:]]),
            ("computeSpec", ["regoin": "eu"]), ("baseModel", ""), ("baseModel", 5), ("baseModel", "--host"),
            ("speculator", "a\nb"), ("mergeAdapter", true), ("hfToken", 5), ("hfToken", "***"),
        ] as [(String, JSONValue)])
    func malformedValuesNameTheirField(field: String, value: JSONValue) {
        let given: JSONValue = field == "baseModel" ? ["baseModel": value] : ["baseModel": "m", field: value]
        #expect(faults(creating: given).map(\.field) == [field])
    }

    @Test func allFaultsOfABodyAreTold() {
        let faults = faults(creating: [
            "minReplica": 1, "maxReplicas": 0, "cooldownTime": "1h", "disableAdapters": true,
            "preloadedAdapters": ["a"],
        ])
        #expect(
            faults.map(\.field) == ["minReplica", "maxReplicas", "cooldownTime", "baseModel", "disableAdapters"])
        let text = DeploymentConfigError(faults: faults).description
        #expect(text.contains("did you mean minReplicas?"))
        #expect(text.contains("cooldownTime \"1h\": expected a whole number from 1 to 604800"))
    }

    @Test func bodyOfManyUnknownFieldsIsRefusedWithSomeOfThem() {
        let body = JSONObject((0..<50_000).map { ("minReplica\($0)", JSONValue.null) })
        #expect(faults(creating: .object(body)).count == 101)
    }

    @Test func hintsKeepTheSpellingOfTheMistake() {
        #expect(DeploymentConfigField.nearest(to: "cool_down_time") == "cooldown_time")
        #expect(DeploymentConfigField.nearest(to: "maxreplica") == "maxReplicas")
        #expect(DeploymentConfigField.nearest(to: "colour") == nil)
        #expect(DeploymentConfigField.nearest(to: String(repeating: "x", count: 100_000)) == nil)
    }

    @Test(arguments: [nil, 3, "x", []] as [JSONValue])
    func aBodyMustBeAnObject(body: JSONValue) {
        #expect(faults(creating: body).map(\.field) == ["config"])
    }

    @Test func fieldGivenTwiceInTwoSpellingsMustAgree() throws {
        #expect(
            faults(creating: ["baseModel": "m", "maxReplicas": 2, "max_replicas": 3]).map(\.field) == ["maxReplicas"])
        let config = try DeploymentConfig(creating: ["baseModel": "m", "maxReplicas": 2, "max_replicas": 2])
        #expect(config.maxReplicas == 2)
    }

    @Test func leastReplicasAreNotAboveTheMost() {
        let faults = faults(creating: ["baseModel": "m", "minReplicas": 2])
        #expect(faults.map(\.description) == ["minReplicas 2: expected at most maxReplicas, which is 1"])
    }

    @Test func updateLeavesAloneWhatItDoesNotName() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            let config = DeploymentConfig.random(using: &generator)
            let nulls = JSONObject(DeploymentConfigField.allCases.map { ($0.wireName, JSONValue.null) })
            let same = try config.updated(by: .object(nulls))
            #expect(same == config)
            // What a client read and sends back, the mask of the token included, changes nothing either.
            let sentBack = try config.updated(by: .object(config.json(revealingSecrets: false)))
            #expect(sentBack == config)
        }
    }

    @Test func updateChangesWhatItNames() throws {
        var config = DeploymentConfig(baseModel: "m")
        config.hubToken = "old"
        config.maxTotalTokens = 100
        config.speculator = "auto"
        let updated = try config.updated(
            by: ["hfToken": "new", "maxTotalTokens": 0, "speculator": "", "max_replicas": 5])
        #expect(updated.hubToken == "new")
        #expect(updated.maxTotalTokens == nil)
        #expect(updated.speculator == nil)
        #expect(updated.maxReplicas == 5)
        #expect(updated.fieldsDiffering(from: config) == [.hfToken, .maxReplicas, .maxTotalTokens, .speculator])
    }

    @Test func modelAndAcceleratorStay() {
        var config = DeploymentConfig(baseModel: "m")
        config.accelerator = "a10"
        #expect(faults(config, updatedBy: ["baseModel": "m", "accelerator": "a10"]).isEmpty)
        let faults = faults(config, updatedBy: ["baseModel": "n", "accelerator": ""])
        #expect(faults.map(\.field) == ["baseModel", "accelerator"])
        #expect(faults.first?.expected.contains("can't be changed (it is \"m\")") == true)
    }

    @Test func tokenIsShownToNobody() {
        var config = DeploymentConfig(baseModel: "m")
        #expect(config.json(revealingSecrets: false)["hfToken"] == .null)
        config.hubToken = "hf_secret"
        #expect(config.json(revealingSecrets: false)["hfToken"] == "***")
        #expect(config.json(revealingSecrets: true)["hfToken"] == "hf_secret")
        let faults = faults(config, updatedBy: ["hfToken": "hf_other\u{1}"])
        #expect(faults.count == 1)
        #expect(!faults.description.contains("hf_other"))
    }

    @Test func randomConfigsGoToJSONAndBack() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<1000 {
            let config = DeploymentConfig.random(using: &generator)
            let text = JSONValue.object(config.json(revealingSecrets: true)).text()
            let back = try DeploymentConfig(creating: JSONValue(parsing: text))
            #expect(back == config)
        }
    }

    @Test func whatHasNoEffectIsNoted() throws {
        #expect(DeploymentConfig(baseModel: "m").notes().isEmpty)
        let config = try DeploymentConfig(creating: [
            "baseModel": "m", "accelerator": "a10", "computeSpec": ["region": "eu"], "quantization": "fp8",
            "usesGuaranteedCapacity": true, "loraxImageTag": "x", "requestLoggingEnabled": true, "directIngress": true,
            "speculator": "auto", "speculationDisableByBatchSize": 4, "chunkedPrefill": false, "backend": "v1",
            "cacheModel": true, "customArgs": ["--num-shard", "2"],
        ])
        #expect(
            config.notes().map(\.field) == [
                "computeSpec", "quantization", "usesGuaranteedCapacity", "loraxImageTag",
                "requestLoggingEnabled", "directIngress", "speculator", "speculationDisableByBatchSize",
                "chunkedPrefill", "backend", "cacheModel", "customArgs",
            ])
    }
}
