/// The commands of a conversation: what stands after the slash.
enum ChatVerb: String, CaseIterable, Sendable {
    case help, set, show, system, clear, save, load, retry, undo, edit, stats, model, bye, exit, quit

    /// What is typed, with the arguments it takes.
    var usage: String {
        switch self {
        case .help: "/help [COMMAND]"
        case .set: "/set [NAME [VALUE]]"
        case .show: "/show [TOPIC]"
        case .system: "/system [TEXT|off]"
        case .clear: "/clear"
        case .save: "/save [--force] FILE"
        case .load: "/load FILE"
        case .retry: "/retry"
        case .undo: "/undo"
        case .edit: "/edit"
        case .stats: "/stats [on|off]"
        case .model: "/model [PATH|NAME]"
        case .bye: "/bye"
        case .exit: "/exit"
        case .quit: "/quit"
        }
    }

    /// What it does, in one line.
    var summary: String {
        switch self {
        case .help: "show the commands, or one of them"
        case .set: "change a setting; without a value show it, without a name show all"
        case .show: "show info, parameters, system, template or context"
        case .system: "set the system message; without text show it"
        case .clear: "forget the conversation; settings and system message stay"
        case .save: "write the conversation and the settings to a file (JSONL)"
        case .load: "take up a conversation from a file"
        case .retry: "answer the last question once more"
        case .undo: "forget the last question and its answer"
        case .edit: "change the last question in $VISUAL or $EDITOR and ask it again"
        case .stats: "show after each answer how long it took"
        case .model: "go on with another model; without one show the name"
        case .bye: "leave (as does Ctrl-D)"
        case .exit, .quit: "the same as /bye"
        }
    }

    var takesArgument: Bool { usage.contains(" ") }

    /// The command with a name as it is typed, in whatever case.
    static func named(_ name: String) -> ChatVerb? {
        name == "?" ? .help : ChatVerb(rawValue: name.lowercased())
    }

    /// All commands, one a line, and what else can be typed.
    static var helpText: String {
        let width = allCases.map(\.usage.count).max() ?? 0
        func row(_ left: String, _ right: String) -> String {
            "  " + left + String(repeating: " ", count: max(1, width + 2 - left.count)) + right
        }
        return
            (["Commands:"] + allCases.map { row($0.usage, $0.summary) } + [
                "Messages:",
                row("\"\"\"", "opens and closes a message of several lines"),
                row("//TEXT", "a message that begins with a slash"),
                row("Ctrl-C", "stops the answer; Ctrl-D leaves"),
            ]).joined(separator: "\n")
    }
}
