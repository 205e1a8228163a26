import ControlAPI
import ControlStore
import Deployments
import HTTPServing
import Hummingbird
import ServingJSON

/// What Predibase's SDK asks beside `/v2/deployments`.
extension ControlRoutes {
    func predibase(_ request: Request, _ parts: [String]) async throws(ControlError) -> ControlAnswer? {
        try request.require(.get)
        if parts == ["users", "current"] { return .json(user) }
        if parts.count == 3, parts[0] == "llms", parts[2] == "events" { return try await computeEvents(parts[1]) }
        return nil
    }

    /// The one user there is; the SDK takes the tenant from it.
    private var user: JSONValue {
        [
            "id": 1, "username": "local", "uuid": "00000000-0000-0000-0000-000000000001",
            "tenant": [
                "name": .string(server.tenant), "shortCode": .string(server.tenant),
                "subscription": [
                    "id": 1, "tier": "enterprise", "isTrial": false, "expiration": nil, "daysRemainingInPlan": nil,
                    "active": true,
                ],
            ],
        ]
    }

    /// What the SDK polls after a create or an update: `Ready` or `Failed` since the last change of the config.
    private func computeEvents(_ name: String) async throws(ControlError) -> ControlAnswer {
        let view = try await service.view(name)
        let events: [DeploymentEvent]
        do throws(StoreError) {
            events = try await store.events(of: view.uuid, after: 0, limit: 1000, newestFirst: true)
        } catch {
            throw ControlError(error)
        }
        let asked: Set<String> = [
            "Created", "Updated", "RolledBack", "Started", "Restarted", "Scaled", "LimitsChanged",
        ]
        let since = events.firstIndex { asked.contains($0.reason) } ?? events.count
        var listed: [JSONValue] = events[..<min(since + 1, events.count)].reversed().map { event in
            [
                "eventType": .string(event.reason), "timestamp": .string(event.at.iso8601),
                "comment": .string(event.message),
            ]
        }
        let now = JSONValue.string(clock.now().iso8601)
        // A deployment at rest with no replicas is as ready as the SDK can ask for.
        switch view.status {
        case .ready, .standby: listed.append(["eventType": "Ready", "timestamp": now])
        case .errored: listed.append(["eventType": "Failed", "timestamp": now, "comment": .string(view.statusMessage)])
        default: break
        }
        return .json([
            "name": .string(view.name), "ComputeEvents": .array(listed),
            "resourceActiveTime": .integer(Int64(await activeSeconds(view))),
            "deploymentStatus": .string(view.status.rawValue),
        ])
    }

    /// Seconds that replicas have run, all together.
    private func activeSeconds(_ view: DeploymentView) async -> Int {
        let now = clock.now()
        let running = view.replicas.reduce(0.0) { $0 + now.since($1.launchedAt).inSeconds }
        let ended = (try? await store.replicas(of: view.uuid)) ?? []
        return Int(ended.reduce(running) { $0 + ($1.endedAt ?? now).since($1.launchedAt).inSeconds })
    }

    /// A config that runs here: the model as it is, from zero to one replica.
    func recommendation(_ request: Request) throws(ControlError) -> ControlAnswer {
        guard let model = request.query("baseModel"), !model.isEmpty else {
            throw ControlError(.malformed, "baseModel: expected the model's name in the query")
        }
        return .json(.object(DeploymentConfig(baseModel: model).json(revealingSecrets: false)))
    }
}
