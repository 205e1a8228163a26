import Deployments

/// What a person typed: a message, a command, or nothing.
enum ChatCommandLine: Sendable, Equatable {
    /// What `/show` shows.
    enum Topic: String, CaseIterable, Sendable {
        case info, parameters, system, template, context
    }

    /// What to do with the system message.
    enum SystemChange: Sendable, Equatable {
        case show
        case clear
        case set(String)
    }

    case nothing
    case message(String)
    case help(ChatVerb?)
    case set(name: String?, value: String?)
    case show(Topic?)
    case system(SystemChange)
    case clear
    case save(path: String, isForced: Bool)
    case load(path: String)
    case retry
    case undo
    case edit
    case statistics(Bool?)
    case model(String?)
    case leave

    /// Reads a line.
    ///
    /// What begins with a slash is a command, with two slashes a message that begins with one. A text of several lines
    /// that begins with a slash is a message too unless the slash begins a command's name, because it was pasted.
    /// - Parameter isBlock: whether the text stood in `"""` and so is a message whatever it holds.
    /// - Throws: a failure that says which commands there are, or what a command wants.
    init(_ text: String, isBlock: Bool = false) throws(CommandFailure) {
        let words = Self.trimmed(text)
        guard !words.isEmpty else {
            self = .nothing
            return
        }
        guard !isBlock, words.hasPrefix("/") else {
            self = .message(isBlock ? text : Self.withoutLastLineEnds(text))
            return
        }
        guard !words.hasPrefix("//") else {
            self = .message(String(words.dropFirst()))
            return
        }
        let name = String(words.dropFirst().prefix { !$0.isWhitespace })
        guard let verb = ChatVerb.named(name) else {
            guard !words.contains(where: \.isNewline) else {
                self = .message(Self.withoutLastLineEnds(text))
                return
            }
            throw Self.unknown(name)
        }
        self = try Self.command(verb, argument: Self.trimmed(words.dropFirst(1 + name.count)))
    }

    private static func command(_ verb: ChatVerb, argument: String) throws(CommandFailure) -> ChatCommandLine {
        guard verb.takesArgument || argument.isEmpty else {
            throw .usage("/\(verb.rawValue) takes no argument, not '\(argument)'")
        }
        let value = argument.isEmpty ? nil : argument
        switch verb {
        case .help: return .help(try value.map(helpTopic))
        case .set: return set(argument)
        case .show: return .show(try value.map(topic))
        case .system:
            guard let value else { return .system(.show) }
            return .system(value == "off" ? .clear : .set(value))
        case .clear: return .clear
        case .save: return try save(argument)
        case .load:
            guard let value else { throw .usage("/load wants a file", hint: verb.usage) }
            return .load(path: unquoted(value))
        case .retry: return .retry
        case .undo: return .undo
        case .edit: return .edit
        case .stats: return .statistics(try value.map(onOrOff))
        case .model: return .model(value.map(unquoted))
        case .bye, .exit, .quit: return .leave
        }
    }

    private static func set(_ argument: String) -> ChatCommandLine {
        let name = argument.prefix { !$0.isWhitespace }
        let value = trimmed(argument.dropFirst(name.count))
        return .set(name: name.isEmpty ? nil : String(name), value: value.isEmpty ? nil : value)
    }

    private static func save(_ argument: String) throws(CommandFailure) -> ChatCommandLine {
        var path = argument
        var isForced = false
        for flag in ["--force", "-f"] where path == flag || path.hasPrefix(flag + " ") {
            isForced = true
            path = trimmed(path.dropFirst(flag.count))
            break
        }
        guard !path.isEmpty else { throw .usage("/save wants a file", hint: ChatVerb.save.usage) }
        return .save(path: unquoted(path), isForced: isForced)
    }

    private static func helpTopic(_ name: String) throws(CommandFailure) -> ChatVerb {
        let bare = name.hasPrefix("/") ? String(name.dropFirst()) : name
        guard let verb = ChatVerb.named(bare) else { throw unknown(bare) }
        return verb
    }

    private static func topic(_ name: String) throws(CommandFailure) -> Topic {
        if let topic = Topic(rawValue: name.lowercased()) { return topic }
        let names = Topic.allCases.map(\.rawValue)
        throw .usage(
            "/show has no topic '\(name)'",
            hint: Spelling.nearest(to: name, among: names).map { "did you mean '/show \($0)'?" }
                ?? "topics: \(names.joined(separator: ", "))")
    }

    /// Reads `on` or `off`.
    static func onOrOff(_ text: String) throws(CommandFailure) -> Bool {
        switch text.lowercased() {
        case "on", "true", "yes", "1": return true
        case "off", "false", "no", "0": return false
        default: throw .usage("expected on or off, not '\(text)'")
        }
    }

    private static func unknown(_ name: String) -> CommandFailure {
        let nearest = Spelling.nearest(to: name.lowercased(), among: ChatVerb.allCases.map(\.rawValue))
        return .usage(
            "unknown command /\(name)",
            hint: nearest.map { "did you mean /\($0)?" } ?? "/help shows the commands; // begins a message with a slash"
        )
    }

    /// A path may stand in quotation marks.
    private static func unquoted(_ text: String) -> String {
        for mark in ["\"", "'"] where text.count >= 2 && text.hasPrefix(mark) && text.hasSuffix(mark) {
            return String(text.dropFirst().dropLast())
        }
        return text
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = Substring(text).drop(while: \.isWhitespace)
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return String(text)
    }

    private static func withoutLastLineEnds(_ text: String) -> String {
        var text = text[...]
        while text.last?.isNewline ?? false { text.removeLast() }
        return String(text)
    }
}
