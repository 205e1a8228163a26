import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import ServingJSON
import Terminal

/// `pbctl endpoint`
struct EndpointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoint",
        abstract: "Print where a deployment is reached, by the kind of client.",
        discussion: """
            EXAMPLES:
              pbctl endpoint demo
              curl "$(pbctl endpoint demo -o jsonpath='{.openai}')/models"
            """)

    @OptionGroup var deployment: DeploymentArgument

    @Option(name: .shortAndLong, help: ArgumentHelp(OutputFormat.help, valueName: "format"))
    var output = OutputFormat.table

    @OptionGroup(title: "Server options") var server: ServerOptions

    func run() async throws {
        let name = try deployment.checked()
        let view = try await server.client().deployment(name)
        guard output.isTable else {
            return try Resource.write(
                Resource.single("Endpoint", view.endpoint.json), as: output, names: [view.endpoint.openai])
        }
        try TextOutput.standard.write(Self.text(view.endpoint, of: name.text, hasKey: ServerOptions.apiKey != nil))
    }

    /// The URLs, and a command that works as printed.
    static func text(_ endpoint: EndpointView, of name: String, hasKey: Bool) -> String {
        let key = hasKey ? " -H \"Authorization: Bearer $PBCTL_API_KEY\"" : ""
        return """
            openai     \(endpoint.openai)
            lorax      \(endpoint.native)
            predibase  \(endpoint.predibase)

            curl \(endpoint.openai)/chat/completions\(key) -H 'Content-Type: application/json' \
            -d '{"model": "\(name)", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32}'

            """
    }
}
