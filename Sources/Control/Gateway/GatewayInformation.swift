import Deployments
import HTTPServing
import Hummingbird
import HummingbirdCore
import ServingJSON

/// Routes that tell about deployments. None of them wakes one.
struct GatewayInformation: Sendable {
    let service: GatewayService

    /// - Parameter name: the deployment whose base the path begins with; nil for `/v1`.
    func answer(_ endpoint: GatewayEndpoint, _ name: String?, _ request: Request) async -> Response {
        do throws(GatewayError) {
            switch endpoint {
            case .models: return HTTPReply.json(list(await models(try routes(name)))).response
            case .model(let id): return try await model(id, name).response
            default:
                let (_, route) = try service.dispatch(name ?? "")
                switch endpoint {
                case .metrics: return metrics(route, request).response
                case .health: return health(route).response
                default: return try await info(route).response
                }
            }
        } catch {
            return error.reply(endpoint.form).response
        }
    }

    // MARK: Models

    /// Something that can be asked for.
    private struct Model {
        var id: String
        var route: DeploymentRoute
        var isAdapter: Bool
    }

    private func routes(_ name: String?) throws(GatewayError) -> [DeploymentRoute] {
        guard let name else { return service.table.routes.filter { $0.condition.status != .deleted } }
        return [try service.dispatch(name).1]
    }

    /// Deployments, each with its adapters behind it.
    private func models(_ routes: [DeploymentRoute]) async -> [Model] {
        let adapters = await withTaskGroup(of: (Int, [String]).self) { group in
            for (index, route) in routes.enumerated() {
                group.addTask { (index, await service.catalog.adapters(of: route, service)) }
            }
            return await group.reduce(into: [Int: [String]]()) { $0[$1.0] = $1.1 }
        }
        return routes.enumerated().flatMap { index, route in
            [Model(id: route.name.text, route: route, isAdapter: false)]
                + (adapters[index] ?? []).map { Model(id: "\(route.name):\($0)", route: route, isAdapter: true) }
        }
    }

    private func model(_ id: String, _ name: String?) async throws(GatewayError) -> HTTPReply {
        let selector: ModelSelector
        if let name {
            let (_, route) = try service.dispatch(name)
            selector = ModelSelector(model: id, within: name, baseModel: route.baseModel)
        } else {
            selector = ModelSelector(shared: id)
        }
        let (_, route) = try service.dispatch(selector.deployment, model: id)
        let wanted = selector.adapter.map { "\(route.name):\($0)" } ?? route.name.text
        guard let model = await models([route]).first(where: { $0.id == wanted }) else {
            throw GatewayError(
                404, "The model `\(id.prefix(200))` does not exist", type: "invalid_request_error",
                code: "model_not_found", param: "model")
        }
        var json = JSONBytes()
        write(model, &json)
        return .json(json)
    }

    private func list(_ models: [Model]) -> JSONBytes {
        var json = JSONBytes(capacity: 64 + models.count * 160)
        json.openObject()
        json.member("object", "list")
        json.key("data")
        json.openArray()
        for model in models { write(model, &json) }
        json.closeArray()
        json.closeObject()
        return json
    }

    private func write(_ model: Model, _ json: inout JSONBytes) {
        json.openObject()
        json.member("id", model.id)
        json.member("object", "model")
        json.member("created", 0)
        json.member("owned_by", "pbctl")
        json.member("root", model.route.baseModel)
        json.member("parent", model.isAdapter ? model.route.name.text : nil)
        json.member("status", model.route.condition.status.rawValue)
        json.closeObject()
    }

    // MARK: One deployment

    /// 200 where a replica takes requests.
    private func health(_ route: DeploymentRoute) -> HTTPReply {
        guard route.replicas.isEmpty else { return HTTPReply(200) }
        let condition = route.condition
        return GatewayError(
            503, "deployment \"\(route.name)\" is \(condition.status.rawValue): \(condition.message)",
            type: "server_error", nativeType: "healthcheck"
        ).reply(.native)
    }

    /// What its first replica says of itself.
    private func info(_ route: DeploymentRoute) async throws(GatewayError) -> HTTPReply {
        if let reply = await service.ask(route, GatewayEndpoint.info.replicaPath) { return reply }
        throw GatewayError(
            503,
            "deployment \"\(route.name)\" has no replica that answers (\(route.condition.status.rawValue): "
                + "\(route.condition.message))", type: "server_error")
    }

    private func metrics(_ route: DeploymentRoute, _ request: Request) -> HTTPReply {
        service.metrics.update(route.name, service.table.load(of: route.name))
        let wantsJSON =
            request.headers[.accept]?.contains("application/json") ?? false
            || request.uri.queryParameters["format"] == "json"
        if wantsJSON {
            let text = service.metrics.json(of: route.name).text()
            return HTTPReply(200, contentType: "application/json", body: Array(text.utf8))
        }
        return HTTPReply(
            200, contentType: "text/plain; version=0.0.4; charset=utf-8",
            body: Array(service.metrics.text(of: route.name).utf8))
    }
}
