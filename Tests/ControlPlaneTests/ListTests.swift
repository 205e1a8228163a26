import ControlAPI
import ControlPlane
import ControlStore
import Deployments
import HTTPServing
import Hummingbird
import HummingbirdTesting
import ReplicaLaunchers
import ServingJSON
import Testing

private struct RoutesResponder: HTTPResponder {
    typealias Context = ConnectionContext

    let routes: ControlRoutes

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        await routes.respond(to: request, context: context) ?? Response(status: .notFound)
    }
}

/// The list of deployments as clients get it: in pieces, whole.
@Suite struct ListTests {
    private func list(_ world: TestWorld, _ query: String = "") async throws -> [JSONValue] {
        let routes = ControlRoutes(
            service: world.service, reconciler: world.reconciler, store: world.store,
            metrics: MetricsHistory(store: world.store, clock: world.clock), launcher: world.launcher,
            clock: world.clock,
            server: ControlRoutes.ServerIdentity(
                version: "0", processID: 1, startedAt: world.clock.now(), url: { "http://here" },
                stateFolder: world.folder, stop: { _ in }))
        let application = Application(responder: RoutesResponder(routes: routes))
        let text = try await application.test(.router) { client in
            try await client.execute(uri: "/v2/deployments" + query, method: .get) { String(buffer: $0.body) }
        }
        let json = try JSONValue(parsing: Array(text.utf8))
        return try #require(json["data"]?.arrayValue)
    }

    @Test func noneIsAnEmptyList() async throws {
        let world = try await TestWorld()
        let none = try await list(world)
        #expect(none.isEmpty)
        await world.end()
    }

    @Test(arguments: [1, 128, 129, 300]) func allAreThereOnceAndInOrder(count: Int) async throws {
        let world = try await TestWorld()
        let names = (0..<count).map { "d-\($0)" }
        for name in names { try await world.create(name) }
        let found = try await list(world).compactMap { $0["name"]?.stringValue }
        #expect(found == names.sorted())
        await world.end()
    }

    @Test func historyComesLastAndOnlyWhereItIsAskedFor() async throws {
        let world = try await TestWorld()
        for name in ["a", "b", "c"] { try await world.create(name) }
        let id = try await world.service.view("a").uuid
        _ = try await world.service.delete("a")
        try await world.eventually("it is history") { try await world.store.deployment(id: id)?.deletedAt != nil }
        let live = try await list(world).compactMap { $0["name"]?.stringValue }
        #expect(live == ["b", "c"])
        let all = try await list(world, "?deleted=true")
        #expect(all.compactMap { $0["name"]?.stringValue } == ["b", "c", "a"])
        #expect(all.last?["status"]?.stringValue == "deleted")
        let ofAnotherKind = try await list(world, "?deleted=true&type=shared")
        #expect(ofAnotherKind.isEmpty)
        await world.end()
    }
}
