import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Synchronization
import Terminal

/// `pbctl status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how deployments stand.",
        discussion: """
            All deployments as a table, or one with its replicas, the figures of the last minute, its last events and what to
            do next. --watch shows it anew at each change; off a terminal that is a JSON object a line.

            EXAMPLES:
              pbctl status
              pbctl status demo
              pbctl status demo --watch
              pbctl status -o jsonpath='{.items[*].name}'
            """,
        aliases: ["ps"])

    @Argument(
        help: ArgumentHelp("The deployment (default: all).", valueName: "name"), completion: DeploymentNames.completion)
    var name: String?

    @Flag(name: .shortAndLong, help: "Go on showing it as it changes.")
    var watch = false

    @Flag(name: .shortAndLong, help: "With those that were deleted.")
    var all = false

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    private static let eventCount = 8

    func run() async throws {
        let name = try name.map { try DeploymentArgument.checked($0) }
        let client = try await server.client()
        switch (name, watch) {
        case (nil, false): try await showAll(client)
        case (nil, true): try await watchAll(client)
        case (let name?, false): try await show(name, client)
        case (let name?, true): try await watch(name, client)
        }
    }

    // MARK: All

    private func showAll(_ client: ControlClient) async throws {
        let views = try await client.deployments(includingDeleted: all)
        if !all { DeploymentNames.keep(views.map(\.name)) }
        guard output.isTable else {
            return try Resource.write(
                Resource.list("Deployment", views.map(\.json)), as: output, names: views.map(\.name))
        }
        guard !views.isEmpty else {
            try TextOutput.error.writeLine("no deployments (make one with 'pbctl deploy NAME --model MODEL')")
            return
        }
        try TextOutput.standard.write(StatusTable(views, now: .now, isWide: output == .wide).text)
    }

    private var isLive: Bool { output.isTable && TextOutput.standard.isTerminal }

    /// There is no stream of all: they are asked for each second.
    private func watchAll(_ client: ControlClient) async throws {
        var live = LiveText()
        while true {
            let views = try await client.deployments(includingDeleted: all)
            if isLive {
                try live.show(StatusTable(views, now: .now, isWide: output == .wide).text)
            } else {
                try live.show(Resource.list("Deployment", views.map(\.json)).text())
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    // MARK: One

    private func show(_ name: DeploymentName, _ client: ControlClient) async throws {
        let view = try await client.deployment(name)
        DeploymentNames.keep(view)
        guard output.isTable else {
            return try Resource.write(Resource.single("Deployment", view.json), as: output, names: [view.name])
        }
        try TextOutput.standard.write(try await page(view, client))
    }

    private func page(_ view: DeploymentView, _ client: ControlClient) async throws -> String {
        let events = try await client.events(EventQuery(deployment: DeploymentName(view.name), limit: Self.eventCount))
        return StatusPage(
            view: view, events: events.suffix(Self.eventCount), now: .now, isColored: ColorChoice.auto.isEnabled()
        ).text
    }

    private func watch(_ name: DeploymentName, _ client: ControlClient) async throws {
        guard isLive else {
            let live = Mutex(LiveText())
            let format = output
            return try await client.watch(name) { view in
                let value = Resource.single("Deployment", view.json)
                if format == .table || format == .wide || format == .json {
                    try live.withLock { try $0.show(value.text()) }
                } else {
                    try Resource.write(value, as: format, names: [view.name], style: .compact)
                }
                return true
            }
        }
        var live = LiveText()
        while true {
            let view = try await client.deployment(name)
            try live.show(try await page(view, client))
            guard view.status != .deleted else { return }
            try await Task.sleep(for: .seconds(1))
        }
    }
}
