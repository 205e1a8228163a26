import Deployments
import ServingJSON
import Testing

struct StoredFormTests {
    private func throughText(_ object: JSONObject) throws -> JSONValue {
        try JSONValue(parsing: JSONValue.object(object).text())
    }

    @Test func randomSpecsGoToTheStoreAndBack() throws {
        var generator = SeededGenerator(seed: 2)
        for number in 0..<500 {
            var spec = try DeploymentSpec(
                name: DeploymentName("d-\(number)"), id: "id\(number)", description: "ü \u{1F600} \"quoted\"\n",
                config: .random(using: &generator),
                createdAt: Timestamp(milliseconds: Int64.random(in: 0...1 << 50, using: &generator)))
            spec.config.cooldown = .milliseconds(Int.random(in: 1...100_000, using: &generator))
            spec.revision = Int.random(in: 1...1000, using: &generator)
            spec.generation = Int.random(in: 1...1000, using: &generator)
            spec.intent = generator.choose(DeploymentSpec.Intent.allCases)
            spec.pinnedReplicaCount = generator.chance(0.5) ? Int.random(in: 0...9, using: &generator) : nil
            spec.restartCount = Int.random(in: 0...3, using: &generator)
            spec.updatedAt = spec.createdAt + .seconds(5)
            let back = try DeploymentSpec(stored: throughText(spec.storedJSON))
            #expect(back == spec)
        }
    }

    @Test func memoriesGoToTheStoreAndBack() throws {
        var memory = DeploymentMemory()
        let empty = try DeploymentMemory(stored: throughText(memory.storedJSON))
        #expect(empty == memory)
        memory.failingTemplateMark = "00ff"
        memory.failureCount = 3
        memory.lastFailure = ReplicaExit(
            code: -1, signal: 9, lastLines: ["a\u{0}b", ""], at: Timestamp(milliseconds: -5))
        memory.lastFailureCause = "gave no answer"
        memory.hasGivenUp = true
        memory.wasEverReady = true
        var note = ReplicaNote()
        note.ending = .stuck
        note.endingSince = Timestamp(milliseconds: 7)
        note.askedAt = Timestamp(milliseconds: 8)
        note.isKilled = true
        note.isExitCounted = true
        memory.replicas = [ReplicaID("d-1"): note]
        let back = try DeploymentMemory(stored: throughText(memory.storedJSON))
        #expect(back == memory)
    }

    @Test func whatOtherVersionsStoreIsRead() throws {
        let spec = try DeploymentSpec(stored: [
            "name": "chat", "id": "1", "colour": "blue", "pinnedReplicas": nil,
            "config": ["baseModel": "m", "warp": 9, "maxReplicas": 5000, "quantization": "int1", "cooldownTime": 0],
        ])
        #expect(spec.config.maxReplicas == 5000)
        #expect(spec.config.quantization == "int1")
        #expect(spec.intent == .running && spec.revision == 1 && spec.generation == 1)
        let memory = try DeploymentMemory(stored: ["later": 1, "replicas": ["r": ["ending": "warp", "x": 2]]])
        #expect(memory.replicas[ReplicaID("r")]?.ending == .drain)
    }

    @Test(
        arguments: [
            (3, "spec"), ([:], "spec.name"),
            (["name": "Bad Name", "id": "1", "config": ["baseModel": "m"]], "spec.name"),
            (["name": "a", "config": ["baseModel": "m"]], "spec.id"), (["name": "a", "id": "1"], "config"),
            (["name": "a", "id": "1", "config": [:]], "config.baseModel"),
            (["name": "a", "id": "1", "config": ["baseModel": "m", "minReplicas": "x"]], "config.minReplicas"),
            (["name": "a", "id": "1", "config": ["baseModel": "m"], "intent": "warp"], "spec.intent"),
            (["name": "a", "id": "1", "config": ["baseModel": "m"], "generation": 1.5], "spec.generation"),
        ] as [(JSONValue, String)])
    func damagedSpecsNameWhatIsWrong(value: JSONValue, field: String) {
        let error = #expect(throws: StoredFormError.self) { _ = try DeploymentSpec(stored: value) }
        #expect(error?.field == field)
    }

    @Test(
        arguments: [
            3, ["failures": "many"], ["replicas": []], ["replicas": ["r": 5]], ["lastFailure": ["lastLines": [1]]],
        ] as [JSONValue])
    func damagedMemoriesAreRefused(value: JSONValue) {
        #expect(throws: StoredFormError.self) { _ = try DeploymentMemory(stored: value) }
    }
}
