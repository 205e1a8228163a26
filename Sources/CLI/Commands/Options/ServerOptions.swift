import ArgumentParser
import ControlClient
import Deployments
import Glibc
import ModelHub
import Terminal

/// Which server a command talks to.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Address of the server (default: PBCTL_SERVER, else this machine's own, which is started where it does "
                + "not run).", valueName: "url"))
    var server: String?

    @Flag(help: "Fail where this machine's server does not run, instead of starting it.")
    var noAutostart = false

    /// Whose server it is.
    var address: ServerAddress { ServerAddress(option: server, environment: ProcessEnvironment.value) }

    private var startsServer: Bool {
        !noAutostart && !["1", "true", "yes"].contains(ProcessEnvironment.value("PBCTL_NO_AUTOSTART")?.lowercased())
    }

    /// The client of the server, which runs when this returns.
    func client() async throws -> ControlClient {
        guard case .local = address else { return try Self.remote(address) }
        let server = try Self.localServer()
        let running = await server.running(apiKey: Self.apiKey)
        if let url = running?.url { return try Self.client(url) }
        guard startsServer else {
            throw CommandFailure(
                "no server runs on this machine", hint: "start it with 'pbctl server start'",
                status: ExitStatus.unreachable)
        }
        let record = try await Self.start(server, Self.launch([]))
        guard let url = record.url else { throw CommandFailure("the server did not say where it listens") }
        return try Self.client(url)
    }

    /// The client where a server runs already; nil where none is known. Never starts one.
    func clientIfRunning() async throws -> ControlClient? { try await Self.clientIfRunning(at: address) }

    /// The same for an address.
    static func clientIfRunning(at address: ServerAddress) async throws -> ControlClient? {
        guard case .local = address else { return try remote(address) }
        let running = await (try localServer()).running(apiKey: apiKey)
        return try running?.url.map { try client($0) }
    }

    private static func remote(_ address: ServerAddress) throws -> ControlClient {
        guard case .remote(let url) = address else { throw CommandFailure("no address of a server") }
        return try client(url)
    }

    private static func client(_ url: String) throws -> ControlClient {
        try ControlClient(url: url, apiKey: apiKey, userAgent: "pbctl/\(Version.number)")
    }

    /// Starts this machine's server, or finds that somebody else has, and says so.
    @discardableResult
    static func start(_ server: LocalServer, _ launch: LocalServer.Launch) async throws -> LocalServer.Record {
        let (record, wasStarted) = try await server.startIfNeeded(launch)
        if wasStarted {
            try? TextOutput.error.writeLine(
                "started the server (pid \(record.processID)); stop it with 'pbctl server stop'")
        }
        return record
    }

    /// How this machine's server is started in the background.
    static func launch(_ options: [String], patience: Duration = .seconds(30)) -> LocalServer.Launch {
        LocalServer.Launch(
            executable: Self.executable, arguments: ["server", "run", "--background"] + options, patience: patience,
            apiKey: apiKey)
    }

    /// Path of the program that runs.
    static var executable: String {
        guard let path = realpath("/proc/self/exe", nil) else { return CommandLine.arguments.first ?? "pbctl" }
        defer { free(path) }
        return String(cString: path)
    }

    static var apiKey: String? { ProcessEnvironment.value("PBCTL_API_KEY") }

    static func localServer() throws -> LocalServer { LocalServer(folder: try PbctlDirectories().state + "/server") }
}

/// The name of a deployment, as an argument.
struct DeploymentArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The deployment.", valueName: "name"), completion: DeploymentNames.completion)
    var name: String

    /// The name, if it can be one.
    func checked() throws -> DeploymentName { try Self.checked(name) }

    static func checked(_ text: String) throws -> DeploymentName {
        do throws(DeploymentName.Malformed) { return try DeploymentName(text) } catch {
            throw CommandFailure.usage(error.description)
        }
    }
}

/// Names of deployments, as arguments.
struct DeploymentArguments: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The deployments.", valueName: "name"), completion: DeploymentNames.completion)
    var names: [String] = []

    func checked() throws -> [DeploymentName] { try names.map { try DeploymentArgument.checked($0) } }
}
