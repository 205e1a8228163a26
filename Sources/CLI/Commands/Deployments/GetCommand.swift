import ArgumentParser
import ControlAPI
import ControlClient
import ServingJSON
import Terminal

/// `pbctl get`
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print deployments, as files or for scripts.",
        discussion: """
            As YAML a deployment is what 'pbctl deploy -f' and 'pbctl apply -f' take: fields at their defaults and secrets are
            left out. As JSON it is all that the server knows. Without names it is all deployments.

            EXAMPLES:
              pbctl get demo > demo.yaml
              pbctl get demo -o json
              pbctl get demo -o jsonpath='{.endpoint.openai}'
              pbctl get -o jsonpath='{range .items[*]}{.name} {.status}{"\\n"}{end}'
            """)

    @OptionGroup var deployments: DeploymentArguments

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.yaml

    @Flag(help: "With those that were deleted.")
    var deleted = false

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let names = try deployments.checked()
        let client = try await server.client()
        var views: [DeploymentView] = []
        if names.isEmpty {
            views = try await client.deployments(includingDeleted: deleted)
            if !deleted { DeploymentNames.keep(views.map(\.name)) }
        } else {
            for name in names { views.append(try await client.deployment(name)) }
        }
        switch output {
        case .yaml:
            let texts = views.map { DeploymentManifest.yaml(of: $0) }
            try TextOutput.standard.write(texts.joined(separator: "---\n"))
        case .table, .wide:
            try TextOutput.standard.write(StatusTable(views, now: .now, isWide: output == .wide).text)
        default:
            let value =
                names.count == 1
                ? Resource.single("Deployment", views[0].json) : Resource.list("Deployment", views.map(\.json))
            try Resource.write(value, as: output, names: views.map(\.name))
        }
    }
}
