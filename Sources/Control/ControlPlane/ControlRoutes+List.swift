import ControlAPI
import ControlStore
import Deployments
import HTTPServing
import HTTPTypes
import Hummingbird
import ServingJSON

extension ControlRoutes {
    /// Deployments that are made into text at a time. Ten thousand at once would take 100 MB.
    private static let sliceCount = 128

    /// All deployments by name, those that are history last where they are asked for.
    func list(_ request: Request) async throws(ControlError) -> ControlAnswer {
        var names = await reconciler.names()
        var history: [StoredDeployment] = []
        if request.query("deleted") == "true" { history = try await service.history() }
        // Predibase calls dedicated ones by both words; there are no shared endpoints here.
        if let type = request.query("type"), !["private", "dedicated"].contains(type) { (names, history) = ([], []) }
        let figures = (try? await metrics.latest()) ?? [:]
        let (live, deleted, routes) = (names, history, self)
        return .elements { writer in
            var rest = live[...]
            while !rest.isEmpty {
                let slice = rest.prefix(Self.sliceCount)
                rest = rest.dropFirst(slice.count)
                for var view in await routes.reconciler.views(of: slice) {
                    if let name = try? DeploymentName(view.name), let point = figures[name] {
                        view.figures = FiguresView(point)
                    }
                    writer.add(.object(routes.complete(view).json))
                }
                try await writer.flush()
            }
            for stored in deleted {
                writer.add(.object(routes.complete(DeploymentView(stored)).json))
                if writer.isFull { try await writer.flush() }
            }
        }
    }
}
