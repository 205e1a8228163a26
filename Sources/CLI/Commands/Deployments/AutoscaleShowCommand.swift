import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl autoscale NAME`
struct AutoscaleShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a deployment's limits, its load and the last decisions.",
        discussion: """
            EXAMPLES:
              pbctl autoscale show demo
              pbctl autoscale demo -o json
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Flag(help: "Show it (the default).")
    var show = false

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let view = try await server.client().autoscale(name)
        guard output.isTable else {
            return try Resource.write(Resource.single("Autoscale", view.json), as: output, names: [name.text])
        }
        try TextOutput.standard.write(Self.text(view, name: name.text, now: .now))
    }

    static func text(_ view: AutoscaleView, name: String, now: Timestamp) -> String {
        func count(_ value: Int?) -> String { value.map { "\($0)" } ?? "?" }
        let cooldown = view.limits.cooldownTime.map { DurationText.text(.seconds($0)) } ?? "?"
        let decision =
            view.pinned.map { "\($0) replicas, set by hand ('pbctl scale \(name) --auto' lets the autoscaler decide)" }
            ?? "\(view.desired) replicas, decided by the autoscaler"
        var text = """
            \(name): \(decision)
              limits    \(count(view.limits.minReplicas)) to \(count(view.limits.maxReplicas)) replicas
              up        at once, one replica for each \(count(view.limits.scaleUpRequestThreshold)) requests
              down      after \(cooldown) of less load
              load      \(view.load.running) running, \(view.load.queued) queued

            """
        guard !view.decisions.isEmpty else { return text }
        var table = TextTable([])
        for event in view.decisions {
            table.add(["  \(Figures.age(event.at, now: now)) ago", event.reason, event.message.onOneLine])
        }
        text += "\nDECISIONS\n" + table.text
        return text
    }
}
