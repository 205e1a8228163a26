import ControlAPI
import Deployments
import ServingJSON
import Testing

@Suite struct WireViewTests {
    /// Through text and back.
    private func carried<View: WireView>(_ view: View) throws -> View {
        try View(JSONValue(parsing: JSONValue.object(view.json).text()))
    }

    private static let moment = Timestamp(milliseconds: 1_795_568_523_456)

    private static func deployment() -> DeploymentView {
        var view = DeploymentView(
            name: "demo", uuid: "0f0e", status: .updating, model: "m.gguf",
            config: JSONObject([("baseModel", "m.gguf"), ("minReplicas", 0)]), createdAt: moment)
        view.description = "of \"all\" things\n"
        (view.statusReason, view.statusMessage) = ("Rolling", "1 of 2 replaced")
        (view.quantization, view.pinnedReplicas, view.replicasBefore) = ("fp8", 2, 1)
        (view.currentReplicas, view.desiredReplicas, view.revision, view.generation) = (1, 2, 3, 7)
        (view.maxInputLength, view.deletedAt) = (2048, moment + .seconds(5))
        view.notes = [NoteView(field: "loraxImageTag", text: "has no meaning here")]
        view.endpoint = EndpointView(openai: "http://h/v1", native: "http://h", predibase: "http://h/p")
        var replica = ReplicaView(id: "demo-1", phase: "loading", revision: 2, launchedAt: moment)
        (replica.percent, replica.isOutdated, replica.endpoint) = (40, true, "127.0.0.1:1234")
        (replica.device, replica.utilization, replica.gpuMemoryBytes) = ("cuda:1", 0.5, 1 << 34)
        (replica.processID, replica.requests, replica.message, replica.readyAt) = (77, 2, "x", moment)
        view.replicas = [replica, ReplicaView(id: "demo-2", phase: "queued", revision: 3, launchedAt: moment)]
        view.load = LoadView(running: 3, queued: 4)
        view.figures = figures()
        return view
    }

    private static func figures() -> FiguresView {
        var figures = FiguresView()
        figures.requestsPerSecond = 1.5
        figures.inferenceTime = SpreadView(mean: 0.1, p50: 0.05, p95: 0.4, p99: nil)
        figures.interToken = SpreadView(mean: 0.01)
        figures.utilization = 0.25
        figures.replicas = 1.5
        figures.requests = ["success": 9, "failed": 1]
        return figures
    }

    @Test func aDeploymentComesBackWhole() throws {
        let view = Self.deployment()
        #expect(try carried(view) == view)
        let bare = DeploymentView(
            name: "a", uuid: "u", status: .pending, model: "", config: JSONObject(), createdAt: Self.moment)
        #expect(try carried(bare) == bare)
        let listed = try DeploymentView.list(.object(DeploymentView.list([view, bare])))
        #expect(listed == [view, bare])
        #expect(try DeploymentView.enveloped(.object(view.enveloped)) == view)
    }

    /// What Predibase's SDK validates: these keys must be there, and most must not be null.
    @Test func aDeploymentHasAllThatPredibasesClientNeeds() {
        let view = DeploymentView(
            name: "a", uuid: "u", status: .pending, model: "m", config: JSONObject(), createdAt: Self.moment)
        for key in ["name", "uuid", "type", "status", "currentReplicas", "usesGuaranteedCapacity", "config"] {
            #expect(view.json[key].map { !$0.isNull } == true, "\(key)")
        }
        #expect(view.json["model"]?["maxInputLength"]?.intValue == 0)
        #expect(view.json["accelerator"]?["id"]?.stringValue == "cpu")
        #expect(view.json.keys.contains("description") && view.json.keys.contains("quantization"))
    }

    @Test func theOtherValuesComeBackWhole() throws {
        let name = try DeploymentName("demo")
        let event = EventView(
            DeploymentEvent(
                deploymentID: "u", deployment: name, at: Self.moment, severity: .warning, reason: "ReplicaCrashed",
                message: "demo-1 ended", data: JSONObject([("code", 1)]), number: .max))
        #expect(try carried(event) == event)
        let revision = RevisionView(
            revision: 2, createdAt: Self.moment, cause: "updated", config: JSONObject([("baseModel", "m")]),
            isCurrent: true)
        #expect(try carried(revision) == revision)
        let point = MetricsPointView(at: Self.moment, figures: Self.figures())
        #expect(try carried(point) == point)
        var server = ServerView(
            version: "0.4", processID: 9, startedAt: Self.moment, url: "http://h:1", stateFolder: "/s")
        (server.launcher, server.deployments, server.replicas) = ("slurm", 3, 4)
        server.gpus = [GPUView(device: "cuda:0", name: "NVIDIA H100", memoryBytes: 85_000_000_000, replicas: 2)]
        server.gpuProblem = "one of two"
        #expect(try carried(server) == server)
        let limits = ScaleLimits(minReplicas: 0, maxReplicas: 4, cooldownTime: 600, scaleUpRequestThreshold: 2)
        let autoscale = AutoscaleView(
            limits: limits, desired: 2, pinned: nil, load: LoadView(running: 1, queued: 2), decisions: [event])
        #expect(try carried(autoscale) == autoscale)
        for line in [
            LogLineView(replica: "r", at: Self.moment, text: ""), LogLineView(replica: "r", at: nil, text: "é\u{1}"),
        ] {
            #expect(try carried(line) == line)
        }
    }

    @Test func scaleRequestsComeBackAndMixturesAreRefused() throws {
        for request in [
            ScaleRequest.replicas(0), .replicas(3), .delta(-2), .automatic, .limits(ScaleLimits(minReplicas: 0)),
            .limits(ScaleLimits(maxReplicas: 2, cooldownTime: 30, scaleUpRequestThreshold: 9)),
        ] {
            #expect(try carried(request) == request)
        }
        for text in [
            "{}", "{\"replicas\":1,\"delta\":1}", "{\"replicas\":null,\"minReplicas\":1}", "{\"other\":1}", "[]",
        ] {
            let json = try JSONValue(parsing: text)
            #expect(throws: WireFault(path: "request", expected: Self.scaleForms(json))) {
                try ScaleRequest(json)
            }
        }
        #expect(throws: WireFault(path: "request.delta", expected: "a whole number")) {
            try ScaleRequest(["delta": "1"])
        }
    }

    private static func scaleForms(_ json: JSONValue) -> String {
        json.objectValue == nil ? "an object" : "one of replicas, delta, or limits such as minReplicas"
    }

    @Test func deploymentRequestsKeepNullsOfTheConfig() throws {
        let request = DeploymentRequest(
            name: "a", config: JSONObject([("baseModel", "m"), ("hfToken", .null)]), description: "")
        #expect(try carried(request) == request)
        #expect(try carried(DeploymentRequest()) == DeploymentRequest())
    }

    @Test func problemsAreReadInBothForms() throws {
        let problem = APIProblem(
            "2 faults", code: "badConfig", hint: "see x",
            faults: [FaultView(field: "minReplicas", value: "-1", expected: "0 to 64")])
        #expect(try carried(problem) == problem)
        let openAI = try APIProblem(["error": ["message": "no such model", "type": "not_found"]])
        #expect(openAI == APIProblem("no such model", code: "not_found"))
        let anyValue = try FaultView(["field": "a", "value": [1, true], "expected": "text"])
        #expect(anyValue.value == "[1,true]")
    }

    @Test func unknownKeysAreLeftAloneAndWrongTypesAreNamed() throws {
        var json = Self.deployment().json
        json["newThing"] = ["a": 1]
        #expect(try DeploymentView(.object(json)) == Self.deployment())
        for (key, value, path, expected) in [
            ("name", 1, "deployment.name", "text"),
            ("currentReplicas", 1.5, "deployment.currentReplicas", "a whole number"),
            ("config", [], "deployment.config", "an object"),
            ("replicas", [["id": "r"]], "deployment.replicas[0].phase", "text"),
            ("createdAt", "yesterday", "deployment.createdAt", "a time such as 2026-01-31T12:00:00.000Z"),
            ("load", ["running": "many"], "deployment.load.running", "a whole number"),
            ("status", "hot", "deployment.status", "a status that this pbctl knows, not \"hot\""),
        ] as [(String, JSONValue, String, String)] {
            var wrong = json
            wrong[key] = value
            #expect(throws: WireFault(path: path, expected: expected)) { try DeploymentView(.object(wrong)) }
        }
        for text in ["null", "[]", "{\"data\":{}}", "{\"data\":[1]}", "{}"] {
            let value = try JSONValue(parsing: text)
            #expect(throws: WireFault.self) { try EventView.list(value) }
        }
    }
}
