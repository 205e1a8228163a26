import Deployments
import Glibc

@testable import ReplicaLaunchers

/// A place where the conformance suite launches replicas. A new kind of launcher takes part by a type of this protocol
/// and a case of ``LauncherKind``.
protocol LauncherWorld: Sendable {
    /// A launcher on what is there: that of a control plane that starts, or starts anew.
    func open() async throws -> any ReplicaLauncher
    /// The control plane of a launcher is gone; the replicas stay.
    func leave(_ launcher: any ReplicaLauncher) async
    /// The launch of a stand-in.
    func request(_ id: String, _ standIn: StandIn) throws -> ReplicaLaunchRequest
    /// What is left of replicas that nobody should run any more, for the message of a failure.
    func remains() async -> [String]
    /// Ends all that runs.
    func tearDown() async
}

enum LauncherKind: String, CaseIterable, Sendable {
    case null
    case local
    case localWithoutDescriptors

    func makeWorld() throws -> any LauncherWorld {
        switch self {
        case .null: NullLauncherWorld()
        case .local: try LocalLauncherWorld()
        case .localWithoutDescriptors: try LocalLauncherWorld(usesDescriptors: false)
        }
    }

    /// Runs a body in a world of its own, which is torn down whatever happens.
    func withWorld(_ body: (any LauncherWorld) async throws -> Void) async throws {
        let world = try makeWorld()
        do {
            try await body(world)
        } catch {
            await world.tearDown()
            throw error
        }
        await world.tearDown()
    }
}

struct NullLauncherWorld: LauncherWorld {
    private let world = NullWorld()

    func open() async throws -> any ReplicaLauncher {
        NullLauncher(clock: MachineClock(), world: world) { request, _ in
            var behaviour = NullLauncher.Behaviour()
            var arguments = request.arguments[...]
            var exit: Int32?
            while let argument = arguments.popFirst() {
                switch argument {
                case "--say": behaviour.lines.append(arguments.popFirst() ?? "")
                case "--drain": behaviour.drainDuration = .milliseconds(arguments.popFirst().flatMap { Int($0) } ?? 0)
                case "--ignore-term": behaviour.drainDuration = .seconds(1_000_000)
                case "--device": _ = arguments.popFirst()
                case "--never-listen": behaviour.listensAfter = nil
                case "--exit": exit = arguments.popFirst().flatMap { Int32($0) }
                default:
                    exit = 64
                    behaviour.lines.append("unknown option '\(argument)'")
                }
            }
            if let exit { behaviour.crash = .init(after: .zero, code: exit, lastLines: behaviour.lines) }
            return behaviour
        }
    }

    func leave(_ launcher: any ReplicaLauncher) async {}
    func request(_ id: String, _ standIn: StandIn) throws -> ReplicaLaunchRequest {
        try ReplicaLaunchersTests.request(id, standIn.arguments)
    }
    func remains() async -> [String] { [] }
    func tearDown() async {}
}

struct LocalLauncherWorld: LauncherWorld {
    let scratch: ScratchFolder
    private let usesDescriptors: Bool
    var folder: String { scratch.path + "/replicas" }
    var script: String { scratch.path + "/replica.sh" }

    init(usesDescriptors: Bool = true) throws {
        scratch = try ScratchFolder()
        self.usesDescriptors = usesDescriptors
        try scratch.write(StandIn.script, to: "replica.sh")
    }

    init(existing path: String) {
        scratch = ScratchFolder(existing: path)
        usesDescriptors = true
    }

    func open() async throws -> any ReplicaLauncher { try makeLauncher() }

    func makeLauncher(
        executable: String = "/bin/bash", maxReplicas: Int? = nil, retention: ReplicaRetention = ReplicaRetention(),
        environment: [String: String] = ["PATH": "/usr/bin:/bin"],
        interruption: (@Sendable (LocalLauncher.LaunchStep) -> Bool)? = nil
    ) throws -> LocalLauncher {
        try LocalLauncher(
            folder: folder, executable: executable, clock: MachineClock(), maxReplicas: maxReplicas,
            retention: retention, environment: environment, usesDescriptors: usesDescriptors,
            interruption: interruption)
    }

    func leave(_ launcher: any ReplicaLauncher) async { await (launcher as? LocalLauncher)?.close() }

    func request(_ id: String, _ standIn: StandIn = .serving) throws -> ReplicaLaunchRequest {
        try ReplicaLaunchersTests.request(id, [script] + standIn.arguments)
    }

    var processes: [ProcessMark] { ProcessMark.processes(of: LauncherFiles.resolved(folder)) }

    func remains() async -> [String] { processes.map { "process \($0.process.pid) of \($0.id)" } }

    func tearDown() async {
        for mark in processes { kill(mark.process.pid, SIGKILL) }
        for mark in processes { _ = ReplicaProcess.reap(mark.process.pid) }
    }
}
