import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl events`
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Show what happened to deployments.",
        discussion: """
            EXAMPLES:
              pbctl events demo
              pbctl events --follow
              pbctl events demo --tail 200 -o json
            """)

    @Argument(
        help: ArgumentHelp("The deployment (default: all).", valueName: "name"), completion: DeploymentNames.completion)
    var name: String?

    @Flag(name: .shortAndLong, help: "Go on with what is yet to happen.")
    var follow = false

    @Option(help: ArgumentHelp("How many of the last events to show.", valueName: "count"))
    var tail = 50

    @Option(name: .shortAndLong, help: "Format: text, or json for an object a line.")
    var output = TextOrJSON.text

    @OptionGroup(title: "Server options") var server: ServerOptions

    func validate() throws {
        guard (0...100_000).contains(tail) else { throw ValidationError("--tail \(tail): expected 0 to 100000") }
    }

    func run() async throws {
        let name = try name.map { try DeploymentArgument.checked($0) }
        let client = try await server.client()
        let (isJSON, isColored) = (output == .json, ColorChoice.auto.isEnabled())
        let events = tail == 0 ? [] : try await client.events(EventQuery(deployment: name, limit: tail))
        for event in events.suffix(tail) {
            try TextOutput.standard.writeLine(Self.line(event, isJSON: isJSON, isColored: isColored))
        }
        try TextOutput.standard.flush()
        guard follow else {
            if events.isEmpty { try TextOutput.error.writeLine("no events") }
            return
        }
        var last = events.last?.number
        if last == nil { last = try await client.events(EventQuery(deployment: name, limit: 1)).last?.number }
        try await client.followEvents(EventQuery(deployment: name, after: last ?? 0)) { event in
            try TextOutput.standard.writeLine(Self.line(event, isJSON: isJSON, isColored: isColored))
            try TextOutput.standard.flush()
            return true
        }
    }

    static func line(_ event: EventView, isJSON: Bool, isColored: Bool) -> String {
        if isJSON { return Resource.single("Event", event.json).text() }
        let reason =
            event.severity == .warning ? TextStyle.yellow("! \(event.reason)", colored: isColored) : "  \(event.reason)"
        return "\(event.at.iso8601)  \(event.deployment)\(reason): \(event.message.onOneLine)"
    }
}
