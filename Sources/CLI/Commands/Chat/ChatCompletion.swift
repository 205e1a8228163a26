import Terminal

/// What Tab offers: commands, names of settings, topics, files and models.
struct ChatCompletion {
    /// Names of the models of this machine.
    var modelNames: () -> [String] = { [] }
    /// Names in a folder, folders with a slash at the end.
    var fileNames: (String) -> [String] = TextFile.names

    /// Words to put in the place of the request's word.
    func candidates(_ request: LineEditor.CompletionRequest) -> [String] {
        guard request.line.hasPrefix("/") else { return [] }
        let before = request.textBeforeWord.split(separator: " ").map(String.init)
        guard let command = before.first else { return Self.commands(request.word, allowsSlash: true) }
        guard let verb = ChatVerb.named(String(command.dropFirst())) else { return [] }
        switch (verb, before.count) {
        case (.help, 1): return Self.commands(request.word, allowsSlash: request.word.hasPrefix("/"))
        case (.set, 1): return Self.matching(request.word, ChatSetting.allCases.map(\.rawValue))
        case (.set, 2):
            let isSwitch = [ChatSetting.stats, .ignoreEOS].map(\.rawValue).contains(before[1])
            return Self.matching(request.word, isSwitch ? ["on", "off", "default"] : ["default"])
        case (.show, 1): return Self.matching(request.word, ChatCommandLine.Topic.allCases.map(\.rawValue))
        case (.stats, 1): return Self.matching(request.word, ["on", "off"])
        case (.system, 1): return Self.matching(request.word, ["off"])
        case (.save, _), (.load, _): return files(request)
        case (.model, 1): return Self.matching(request.word, modelNames()) + files(request)
        case (.model, _): return files(request)
        default: return []
        }
    }

    private static func commands(_ word: String, allowsSlash: Bool) -> [String] {
        matching(word, ChatVerb.allCases.map { allowsSlash ? "/\($0.rawValue)" : $0.rawValue })
    }

    private static func matching(_ word: String, _ names: [String]) -> [String] { names.filter { $0.hasPrefix(word) } }

    /// A file's name may hold spaces: what is matched is all that follows the command, and only the end of it, from the
    /// word on, is given back.
    private func files(_ request: LineEditor.CompletionRequest) -> [String] {
        var before = request.textBeforeWord.drop { $0 != " " }.drop { $0 == " " }
        for flag in ["--force ", "-f "] where before.hasPrefix(flag) {
            before = before.dropFirst(flag.count).drop { $0 == " " }
        }
        let typed = before + request.word
        let folder = typed.lastIndex(of: "/").map { String(typed[...$0]) } ?? ""
        let names = fileNames(folder.isEmpty ? "." : TextFile.expanded(folder))
        let start = typed.dropFirst(folder.count)
        return names.filter { $0.hasPrefix(start) && (start.hasPrefix(".") || !$0.hasPrefix(".")) }
            .map { String((folder + $0).dropFirst(before.count)) }
    }
}
