import ServingJSON

/// A conversation on its way to and from a file: JSON lines, the first with the settings, then a message a line.
///
/// ```
/// {"pbctl_chat":1,"model":"smol","settings":{"temperature":0.7}}
/// {"role":"system","content":"Be brief."}
/// {"role":"user","content":"Why is the sky blue?"}
/// {"role":"assistant","content":"Because","interrupted":true}
/// ```
/// The first line may be missing, as in files that other programs wrote.
struct ChatFile: Sendable, Equatable {
    var conversation: Conversation
    /// Settings as the file holds them, or nil where it has none.
    var settings: JSONObject?
    /// Name of the model that answered.
    var model: String?

    init(conversation: Conversation, settings: ChatSettings, model: String) {
        self.conversation = conversation
        self.settings = settings.json
        self.model = model
    }

    /// The file's content.
    var text: String {
        var head = JSONObject([("pbctl_chat", .integer(1))])
        head["model"] = model.map(JSONValue.string)
        head["settings"] = settings.map(JSONValue.object)
        var lines = [JSONValue.object(head).text()]
        for message in conversation.promptMessages() {
            guard message.isInterrupted, var object = message.json.objectValue else {
                lines.append(message.json.text())
                continue
            }
            object["interrupted"] = true
            lines.append(JSONValue.object(object).text())
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Reads a file's content.
    /// - Throws: a failure with the number of the first line that is no message.
    init(parsing text: String) throws(CommandFailure) {
        var messages: [ChatMessage] = []
        conversation = Conversation()
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where line.contains(where: { $0 > 0x20 }) {
            let object = try Self.object(String(decoding: line, as: UTF8.self), lineNumber: index + 1)
            if messages.isEmpty, settings == nil, object["role"] == nil {
                guard object["pbctl_chat"] != nil || object["settings"] != nil else {
                    throw CommandFailure("line \(index + 1): expected a role and a content")
                }
                settings = object["settings"]?.objectValue ?? JSONObject()
                model = object["model"]?.stringValue
                continue
            }
            messages.append(try Self.message(object, lineNumber: index + 1))
        }
        guard settings != nil || !messages.isEmpty else { throw CommandFailure("the file holds no messages") }
        if let first = messages.first, first.role == "system" {
            conversation.system = first.content
            messages.removeFirst()
        }
        conversation = Conversation(system: conversation.system, messages: messages)
    }

    private static func object(_ line: String, lineNumber: Int) throws(CommandFailure) -> JSONObject {
        let value: JSONValue
        do throws(JSONParseError) { value = try JSONValue(parsing: line) } catch {
            throw CommandFailure("line \(lineNumber): not JSON: \(error)")
        }
        guard let object = value.objectValue else { throw CommandFailure("line \(lineNumber): expected an object") }
        return object
    }

    private static func message(_ object: JSONObject, lineNumber: Int) throws(CommandFailure) -> ChatMessage {
        guard let role = object["role"]?.stringValue, !role.isEmpty, let content = object["content"]?.stringValue
        else { throw CommandFailure("line \(lineNumber): expected a role and a content, both texts") }
        return ChatMessage(role: role, content: content, isInterrupted: object["interrupted"]?.boolValue ?? false)
    }
}
