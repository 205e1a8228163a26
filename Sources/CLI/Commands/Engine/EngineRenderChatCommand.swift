import ArgumentParser
import ServingChatTemplates
import ServingJSON
import ServingRuntime
import Terminal

/// `pbctl engine render-chat`
struct EngineRenderChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render-chat",
        abstract: "Render conversations with a chat template.",
        discussion: """
            Reads one JSON object a line from standard input: messages, and optionally tools, add_generation_prompt,
            bos_token, eos_token and any other variable of the template. Writes {"text"} or {"error"} a line.

            EXAMPLES:
              echo '{"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true}' \\
                | pbctl engine render-chat --model ./model.gguf
              pbctl engine render-chat --template chat_template.jinja < conversations.jsonl
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The model whose template is used.", valueName: "model"))
    var model: String?

    @Option(help: ArgumentHelp("A template file instead.", valueName: "file"))
    var template: String?

    func run() async throws {
        let (template, defaults) = try load()
        try JSONLines.forEach { line in
            guard var context = line.objectValue, context["messages"] != nil else {
                return ["error": "expected an object with messages"]
            }
            for (name, value) in defaults.members where context[name] == nil { context[name] = value }
            do {
                return ["text": .string(try template.render(context))]
            } catch {
                return ["error": .string("\(error)")]
            }
        }
    }

    private func load() throws -> (ChatTemplate, JSONObject) {
        if let path = template {
            guard model == nil else { throw CommandFailure.usage("--model and --template can't be given together") }
            let source = try InputText.content(of: path)
            return (try ChatTemplate(source: source), JSONObject())
        }
        let codec = try TextCodec(path: ModelOptions.path(of: model))
        guard let source = codec.chatTemplateSource else { throw CommandFailure("the model has no chat template") }
        return (try ChatTemplate(source: source), codec.templateVariables)
    }
}
