import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Synchronization
import Terminal

/// `pbctl logs`
struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print what a deployment's replicas wrote.",
        discussion: """
            Lines of several replicas have the replica's name in front. Those of replicas that have ended are kept for a while.

            EXAMPLES:
              pbctl logs demo --tail 100
              pbctl logs demo --follow --since 10m
              pbctl logs demo --replica demo-x7k2p -o json
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Flag(name: .shortAndLong, help: "Go on with what is yet to be written.")
    var follow = false

    @Option(help: ArgumentHelp("Of one replica only.", valueName: "replica"))
    var replica: String?

    @Option(help: ArgumentHelp("Only so many of the last lines.", valueName: "count"))
    var tail: Int?

    @Option(help: ArgumentHelp("Only lines since so long ago.", valueName: "duration"))
    var since: DurationText?

    @Flag(help: "With the time of each line.")
    var timestamps = false

    @Option(name: .shortAndLong, help: "Format: text, or json for an object a line.")
    var output = TextOrJSON.text

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail \(tail): expected 0 or more") }
    }

    func run() async throws {
        let name = try deployment.checked()
        let client = try await server.client()
        let view = try await client.deployment(name)
        let query = LogQuery(
            replica: replica, tail: tail,
            since: since.map { Timestamp(milliseconds: WallClock.now - $0.duration.wholeMilliseconds) }, follows: follow
        )
        let printer = Mutex(
            LogPrinter(
                isJSON: output == .json, showsTime: timestamps,
                namesReplicas: replica == nil && view.replicas.count > 1,
                isColored: ColorChoice.auto.isEnabled()))
        let out = TextOutput.standard
        try await client.logs(of: name, query) { line in
            try out.writeLine(printer.withLock { $0.text(line) })
            // Whoever follows wants each line as it comes.
            if query.follows { try out.flush() }
            return true
        }
    }
}

/// Log lines as text.
struct LogPrinter: Sendable {
    let isJSON: Bool
    let showsTime: Bool
    /// Whether each line begins with its replica; once lines of a second one come, all do.
    private(set) var namesReplicas: Bool
    let isColored: Bool
    private var replicas: [String] = []

    init(isJSON: Bool, showsTime: Bool, namesReplicas: Bool, isColored: Bool) {
        self.isJSON = isJSON
        self.showsTime = showsTime
        self.namesReplicas = namesReplicas
        self.isColored = isColored
    }

    private static let styles: [TextStyle] = [.cyan, .yellow, .green, .blue, .red]

    mutating func text(_ line: LogLineView) -> String {
        if isJSON { return Resource.single("LogLine", line.json).text() }
        if !replicas.contains(line.replica) { replicas.append(line.replica) }
        if replicas.count > 1 { namesReplicas = true }
        var parts: [String] = []
        if namesReplicas {
            let index = replicas.firstIndex(of: line.replica) ?? 0
            parts.append(Self.styles[index % Self.styles.count]("[\(line.replica)]", colored: isColored))
        }
        if showsTime { parts.append(line.at?.iso8601 ?? "-") }
        parts.append(ChatConsole.displayable(line.text, isTerminal: TextOutput.standard.isTerminal))
        return parts.joined(separator: " ")
    }
}
