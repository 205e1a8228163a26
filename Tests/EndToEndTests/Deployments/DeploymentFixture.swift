import Foundation
import Glibc
import Testing

/// A server of its own in a folder of its own, with real replicas; nothing of it is left when the test ends.
final class DeploymentFixture {
    /// `PBCTL_HOME` of all its commands.
    let home: String
    /// Scratch files, beside the home.
    let scratch: String
    /// Path of a model that loads at once (``TinyModel``).
    let tinyModel: String
    private(set) var server: BackgroundProcess?
    private(set) var url = ""
    /// What is to be undone, last in first out.
    private var cleanUps: [() throws -> Void] = []
    private var firstCleanUps: [() throws -> Void] = []

    var stateFolder: String { home + "/state/server" }
    var database: String { stateFolder + "/state.db" }
    var web: WebClient { WebClient(url: url, folder: scratch) }
    private var program: String { ProgramRun.program ?? "/nonexistent/pbctl" }

    private init() throws {
        // What is short fits every limit on paths of sockets and lists of processes.
        let root = FileManager.default.temporaryDirectory
            .appendingPathComponent("pbctl-e2e-\(UUID().uuidString.prefix(8))").path
        (home, scratch, tinyModel) = (root + "/home", root + "/scratch", root + "/tiny")
        for folder in [home, scratch] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        cleanUps.append { try FileManager.default.removeItem(atPath: root) }
        try TinyModel.make(in: tinyModel)
    }

    /// Runs a test in a new fixture. The server, its replicas and all files are gone afterwards; a process that had to
    /// be killed for that is a failure of the test.
    static func run(startsServer: Bool = true, _ body: (DeploymentFixture) throws -> Void) throws {
        let fixture = try DeploymentFixture()
        defer { fixture.cleanUp() }
        if startsServer { try fixture.startServer() }
        do {
            try body(fixture)
        } catch {
            // The last words of the server say more than what the test noticed.
            print("server's log:", fixture.server?.errorText.suffix(2000) ?? "-")
            throw error
        }
    }

    /// Has something undone when the test has ended and its processes with it.
    func onEnd(_ body: @escaping () throws -> Void) { cleanUps.append(body) }

    /// Has something done when the test ends, while its processes run.
    func beforeEnd(_ body: @escaping () throws -> Void) { firstCleanUps.append(body) }

    private func cleanUp() {
        while let next = firstCleanUps.popLast() {
            do { try next() } catch { Issue.record("clean-up: \(error)") }
        }
        endProcesses()
        while let next = cleanUps.popLast() {
            do { try next() } catch { Issue.record("clean-up: \(error)") }
        }
    }

    private func endProcesses() {
        if let server, server.isRunning {
            // SIGINT ends the replicas, too.
            server.signal(SIGINT)
            if !Patience(.seconds(30)).wait({ !server.isRunning }) { Issue.record("the server does not end") }
        } else {
            // Without a server nobody else ends its replicas.
            for id in processes.replicas { kill(id, SIGKILL) }
        }
        if !Patience(.seconds(10)).wait({ processes.entries.isEmpty }) {
            Issue.record("processes are left: \(processes.entries.map(\.arguments))")
            for entry in processes.entries { kill(entry.processID, SIGKILL) }
            _ = Patience(.seconds(10)).wait { processes.entries.isEmpty }
        }
    }

    // MARK: Server

    private static let readyWords = "pbctl: serving "

    /// Starts the server and returns when it listens.
    func startServer(environment: [String: String] = [:], arguments: [String] = ["--port", "0"]) throws {
        let server = try runServer(environment: environment, arguments: arguments)
        guard Patience(.seconds(60)).wait({ server.errorText.contains(Self.readyWords) || !server.isRunning }),
            let line = server.errorText.split(separator: "\n").first(where: { $0.hasPrefix(Self.readyWords) }),
            let url = line.split(separator: " ").first(where: { $0.hasPrefix("http://") })
        else { throw BackgroundProcess.Failure(description: "the server does not start: \(server.errorText)") }
        self.url = String(url)
        self.server = server
    }

    /// Runs `pbctl server run`, which may well fail.
    func runServer(
        environment: [String: String] = [:], arguments: [String] = ["--port", "0"]
    ) throws -> BackgroundProcess {
        try BackgroundProcess(
            program, ["server", "run"] + arguments, environment: ["PBCTL_HOME": home].merging(environment) { $1 },
            folder: scratch)
    }

    /// Ends the server by a signal; SIGKILL and SIGTERM leave the replicas running.
    @discardableResult
    func endServer(by signal: Int32) throws -> BackgroundProcess.End {
        let server = try #require(server)
        server.signal(signal)
        return try server.end(within: .seconds(60))
    }

    /// Kills the server and starts another one on the same state.
    func replaceServer(environment: [String: String] = [:]) throws {
        try endServer(by: SIGKILL)
        try startServer(environment: environment)
    }

    var processes: ProcessTable { ProcessTable(home: home) }

    /// Replicas that are written down as running; of others only the log is kept.
    var recordedReplicas: [String] {
        let folder = stateFolder + "/replicas"
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
        return (names ?? []).filter { FileManager.default.fileExists(atPath: "\(folder)/\($0)/replica.json") }.sorted()
    }

    // MARK: Commands and requests

    /// Runs a command to its end.
    @discardableResult
    func pbctl(_ arguments: String...) throws -> BackgroundProcess.End { try start(arguments).end() }

    /// Runs a command beside the test.
    func start(
        _ arguments: [String], startsServer: Bool = false, environment: [String: String] = [:]
    ) throws -> BackgroundProcess {
        let variables = ["PBCTL_HOME": home, "PBCTL_NO_AUTOSTART": startsServer ? "0" : "1"]
            .merging(environment) { $1 }
        return try BackgroundProcess(program, arguments, environment: variables, folder: scratch)
    }

    /// Makes a deployment and waits until it is ready.
    func deploy(
        _ name: String, model: String? = nil, replicas: Int = 1, _ config: [String: Any] = [:]
    ) throws {
        var config = config
        config["baseModel"] = model ?? tinyModel
        if config["maxTotalTokens"] == nil { config["maxTotalTokens"] = 512 }
        if replicas > 1 { (config["minReplicas"], config["maxReplicas"]) = (replicas, replicas) }
        let answer = try web.request("POST", "/v2/deployments", ["name": name, "config": config])
        guard answer.status == 201 else {
            throw BackgroundProcess.Failure(description: "deploy: \(answer.status) \(answer.body)")
        }
        try until("\(name) has \(replicas) ready") { try state(name).readyCount == replicas }
    }

    /// How a deployment stands.
    func state(_ name: String) throws -> DeploymentState {
        let answer = try web.request("GET", "/v2/deployments/\(name)")
        guard answer.status == 200, let data = answer.json["data"] as? [String: Any] else {
            throw BackgroundProcess.Failure(description: "GET \(name): \(answer.status) \(answer.body)")
        }
        return DeploymentState(data)
    }

    /// Whether there is a deployment of this name.
    func exists(_ name: String) throws -> Bool { try web.request("GET", "/v2/deployments/\(name)").status == 200 }

    /// Events of a deployment, oldest first, as (reason, message).
    func events(_ name: String) throws -> [(reason: String, message: String)] {
        let answer = try web.request("GET", "/api/v1/events?deployment=\(name)&limit=1000")
        return (answer.json["data"] as? [[String: Any]] ?? []).map {
            ($0["reason"] as? String ?? "", $0["message"] as? String ?? "")
        }
    }

    /// Waits for something that must come about.
    func until(
        _ what: String, within limit: Duration = .seconds(90), _ hasHappened: () throws -> Bool
    ) throws {
        guard try Patience(limit).wait(every: .milliseconds(30), hasHappened) else {
            let table = try? pbctl("status").output
            throw BackgroundProcess.Failure(description: "not within \(limit): \(what)\n\(table ?? "")")
        }
    }

    /// Says how long something took, for `docs/reliability.md`. Never a reason to fail.
    func measure<Value>(_ what: String, _ body: () throws -> Value) rethrows -> Value {
        let start = ContinuousClock.now
        let value = try body()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print("measured: \(what): \((seconds * 100).rounded() / 100) s")
        return value
    }
}

/// Deployments with real processes. One test at a time: each has several processes to itself.
@Suite(
    .enabled(if: ProgramRun.program != nil, "pbctl was not built beside the tests"),
    .enabled(if: WebClient.isThere, "there is no curl"), .serialized)
enum DeploymentTests {}
