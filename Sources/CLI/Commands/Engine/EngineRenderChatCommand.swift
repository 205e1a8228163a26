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
              pbctl engine render-chat -m model.gguf < chats.jsonl
              pbctl engine render-chat --template chat_template.jinja < chats.jsonl
            """)

    @Option(
        name: .shortAndLong, help: ArgumentHelp("The model whose template is used.", valueName: "model"),
        completion: .file())
    var model: String?

    @Option(help: ArgumentHelp("A template file instead.", valueName: "file"), completion: .file())
    var template: String?

    @Option(help: ArgumentHelp("The day that templates print as today (default: today).", valueName: "yyyy-mm-dd"))
    var date: String?

    func run() async throws {
        let (template, defaults) = try load()
        let now = try day()
        let strays = try JSONLines.forEach { line in
            guard var context = line.objectValue, context["messages"] != nil else {
                return ["error": "expected an object with messages"]
            }
            for (name, value) in defaults.members where context[name] == nil { context[name] = value }
            do {
                return ["text": .string(try template.render(context, now: now))]
            } catch {
                return ["error": .string("\(error)")]
            }
        }
        if strays > 0 { throw CommandFailure("\(strays) lines were no JSON") }
    }

    private func day() throws -> ChatTemplateDate {
        guard let date else { return .current() }
        let parts = date.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 3, let year = parts[0], let month = parts[1], let day = parts[2],
            (1...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
        else { throw CommandFailure.usage("--date \(date): expected a day such as 2026-01-31") }
        return ChatTemplateDate(year: year, month: month, day: day)
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
