import ControlAPI
import Deployments
import ServingJSON

/// Deployments as a server tells them.
enum DeploymentFixtures {
    static let moment = Timestamp(milliseconds: 1_795_568_523_456)

    static func view(_ status: DeploymentStatus = .ready, name: String = "demo") -> DeploymentView {
        let config = DeploymentConfig(baseModel: "/models/m.gguf").json(revealingSecrets: false)
        var view = DeploymentView(
            name: name, uuid: "0f0e", status: status, model: "/models/m.gguf", config: config, createdAt: moment)
        view.statusReason = "Reason"
        view.statusMessage = "a message"
        view.endpoint = EndpointView(
            openai: "http://h:1/deployments/\(name)/v1", native: "http://h:1/deployments/\(name)",
            predibase: "http://h:1/default/deployments/v2/llms/\(name)")
        return view
    }

    static func replica(_ id: String, _ phase: String, isOutdated: Bool = false) -> ReplicaView {
        var replica = ReplicaView(id: id, phase: phase, revision: 2, launchedAt: moment + .seconds(60))
        replica.isOutdated = isOutdated
        replica.endpoint = phase == "ready" ? "127.0.0.1:4000" : nil
        if phase == "ready" {
            (replica.device, replica.utilization, replica.gpuMemoryBytes) = ("cuda:1", 0.5, 12_300_000_000)
        }
        return replica
    }

    static func figures() -> FiguresView {
        var figures = FiguresView()
        figures.requestsPerSecond = 1.25
        figures.generatedTokensPerSecond = 123.4
        figures.inferenceTime = SpreadView(mean: 0.8, p50: 0.7, p95: 1.5, p99: 2)
        figures.queueDuration = SpreadView(mean: 0.004, p50: 0.001, p95: 0.02, p99: 0.03)
        figures.timeToFirstToken = SpreadView(mean: 0.05, p95: 0.09)
        figures.replicas = 2
        figures.utilization = 0.5
        figures.requests = ["success": 75]
        return figures
    }
}
