import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl scale`
struct ScaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Set a deployment's number of replicas, or its limits.",
        discussion: """
            A number, or +N and -N for more and fewer than now, sets it by hand, and the autoscaler rests; 0 is allowed, and the
            next request wakes the deployment. --auto, or any limit, lets the autoscaler decide again.

            EXAMPLES:
              pbctl scale demo 3
              pbctl scale demo +1
              pbctl scale demo --min 0 --max 4 --threshold 8 --cooldown 10m
              pbctl scale demo --auto
            """)

    /// Negative numbers look like options, so that all words are taken and sorted here.
    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("The deployment, and N, +N or -N.", valueName: "name"),
        completion: DeploymentNames.completion)
    var words: [String] = []

    @Option(name: .customLong("min"), help: ArgumentHelp("Fewest replicas.", valueName: "count"))
    var minReplicas: Int?

    @Option(name: .customLong("max"), help: ArgumentHelp("Most replicas.", valueName: "count"))
    var maxReplicas: Int?

    @Option(
        help: ArgumentHelp("Requests that a replica handles at a time before another is started.", valueName: "count"))
    var threshold: Int?

    @Option(help: ArgumentHelp("Time without load before replicas are given up.", valueName: "duration"))
    var cooldown: DurationText?

    @Flag(help: "Let the autoscaler decide within the limits there are.")
    var auto = false

    @OptionGroup(title: "Waiting options") var waiting: WaitOptions

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    /// What is asked for.
    func request() throws -> (name: DeploymentName, request: ScaleRequest) {
        if let option = words.first(where: { $0.hasPrefix("-") && Int($0) == nil }) {
            throw CommandFailure.usage("unknown option '\(option)'", hint: "see 'pbctl scale --help'")
        }
        guard let name = words.first, words.count <= 2 else {
            throw CommandFailure.usage("expected a deployment and a number", hint: "for instance 'pbctl scale demo 3'")
        }
        let limits = ScaleLimits(
            minReplicas: minReplicas, maxReplicas: maxReplicas, cooldownTime: cooldown?.seconds,
            scaleUpRequestThreshold: threshold)
        let change = try words.dropFirst().first.map(Self.change)
        guard [change != nil, !limits.isEmpty, auto].count(where: { $0 }) <= 1 else {
            throw CommandFailure.usage("a number, limits and --auto can't be given together")
        }
        let checked = try DeploymentArgument.checked(name)
        if let change { return (checked, change) }
        if auto { return (checked, .automatic) }
        guard !limits.isEmpty else {
            throw CommandFailure.usage(
                "how many replicas?", hint: "'pbctl scale \(name) 3', '+1', '-1', '--min 0 --max 4' or '--auto'")
        }
        return (checked, .limits(limits))
    }

    /// `3`, `+1` or `-1`.
    static func change(_ text: String) throws -> ScaleRequest {
        let isRelative = text.hasPrefix("+") || text.hasPrefix("-")
        guard let number = Int(text), text.dropFirst(isRelative ? 1 : 0).allSatisfy(\.isNumber) else {
            throw CommandFailure.usage("\"\(text)\": expected a number of replicas, +N or -N")
        }
        return isRelative ? .delta(number) : .replicas(number)
    }

    func run() async throws {
        let (name, request) = try request()
        let client = try await server.client()
        let view = try await client.scale(name, request)
        if output.isTable {
            try TextOutput.standard.writeLine(Self.line(view))
            try TextOutput.standard.flush()
        } else {
            try DeploymentOutput.write(view, as: output, verb: "scaled")
        }
        guard view.pinnedReplicas != nil else { return }
        try await waiting.finish(client, name, until: .replicas(view.desiredReplicas))
    }

    /// Before and after, and who decides from here on.
    static func line(_ view: DeploymentView) -> String {
        let before = view.replicasBefore.map { "\($0) -> " } ?? ""
        func field(_ name: String) -> String { view.config[name].map { $0.text() } ?? "?" }
        let limits = "\(field("minReplicas")) to \(field("maxReplicas"))"
        let decision = view.pinnedReplicas == nil ? "the autoscaler decides, \(limits)" : "set by hand"
        return "deployment \(view.name) scaled: \(before)\(view.desiredReplicas) wanted, \(view.currentReplicas) ready "
            + "(\(decision))"
    }
}
