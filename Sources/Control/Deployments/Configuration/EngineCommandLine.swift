import ServingJSON

/// The arguments of `pbctl engine serve` for a config, with what is wrong with its `customArgs` and what they can't do.
///
/// `customArgs` win over the fields that mean the same, and the last one of a name wins over earlier ones.
struct EngineCommandLine {
    private(set) var faults: [ConfigFault] = []
    private(set) var notes: [ConfigNote] = []
    /// Options in the order in which they were first set.
    private var options: [(name: String, values: [String])] = []

    init(_ config: DeploymentConfig) {
        if let tokens = config.maxTotalTokens { set("--context", [String(tokens)]) }
        if let tokens = config.maxBatchedTokens { set("--max-batched-tokens", [String(tokens)]) }
        if !config.usesPrefixCache { set("--no-prefix-cache", []) }
        readCustom(config.customArguments)
        addAdapters(config)
    }

    /// All arguments after the program's name.
    /// - Parameter chosen: The device for a replica whose own arguments leave the choice open.
    func arguments(model: String, device chosen: ReplicaDevice?) -> [String] {
        var line = self
        if let chosen, device == nil { line.set("--device", [chosen.description]) }
        return ["engine", "serve", "--model", model] + line.options.flatMap { [$0.name] + $0.values }
    }

    /// The device that `customArgs` name; nil where they leave the choice open.
    var device: String? { value(of: "--device").flatMap { $0 == "auto" ? nil : $0 } }

    private mutating func set(_ name: String, _ values: [String]) {
        if let position = options.firstIndex(where: { $0.name == name }) {
            options[position].values = values
        } else {
            options.append((name, values))
        }
    }

    private func value(of name: String) -> String? { options.first { $0.name == name }?.values.first }

    private mutating func fault(_ argument: String, _ expected: String) {
        faults.append(
            ConfigFault(field: DeploymentConfigField.customArgs.wireName, value: .string(argument), expected: expected))
    }
}

// MARK: - customArgs

extension EngineCommandLine {
    private mutating func readCustom(_ arguments: [String]) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-") else {
                fault(argument, "expected an option here; it belongs to no option before it")
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = Self.longName(String(parts[0]))
            guard let known = EngineArgument.all[name] else {
                let hint = Spelling.nearest(to: name, among: EngineArgument.all.keys.sorted())
                fault(argument, "unknown option\(hint.map { " (did you mean \($0)?)" } ?? "")")
                skipValues(&rest)
                continue
            }
            let values = takeValues(of: known, inline: parts.count == 2 ? String(parts[1]) : nil, &rest)
            apply(name, known, values)
        }
    }

    private static func longName(_ name: String) -> String {
        switch name {
        case "-m": "--model"
        case "-p": "--port"
        default: name.contains("_") ? String(name.map { $0 == "_" ? "-" : $0 }) : name
        }
    }

    private func skipValues(_ rest: inout ArraySlice<String>) {
        while let next = rest.first, !next.hasPrefix("-") { rest.removeFirst() }
    }

    private func takeValues(
        of argument: EngineArgument, inline: String?, _ rest: inout ArraySlice<String>
    ) -> [String] {
        if let inline { return [inline] }
        switch argument.kind {
        case .flag: return []
        case .toggle:
            guard let next = rest.first, next == "true" || next == "false" else { return [] }
            rest.removeFirst()
            return [next]
        case .list:
            var values: [String] = []
            while let next = rest.first, !next.hasPrefix("-") { values.append(rest.removeFirst()) }
            return values
        case .count, .size, .text, .choice:
            guard let next = rest.first, !next.hasPrefix("--") else { return [] }
            rest.removeFirst()
            return [next]
        }
    }

    private mutating func apply(_ name: String, _ argument: EngineArgument, _ values: [String]) {
        switch argument.meaning {
        case .refused(let hint): fault(name, "can't be given: \(hint)")
        case .noEffect(let reason):
            notes.append(
                ConfigNote(field: DeploymentConfigField.customArgs.wireName, text: "\(name) has no effect: \(reason)"))
        case .option(let option):
            if let expected = Self.complaint(argument.kind, values) {
                fault(([name] + values).joined(separator: " "), expected)
            } else if option == "--prefix-caching" {
                options.removeAll { $0.name == "--no-prefix-cache" }
                if values.first == "false" { set("--no-prefix-cache", []) }
            } else {
                set(option, values)
            }
        }
    }

    /// What a value should have been; nil where it is right.
    private static func complaint(_ kind: EngineArgument.Kind, _ values: [String]) -> String? {
        switch kind {
        case .flag: return values.isEmpty ? nil : "takes no value"
        case .toggle: return values.allSatisfy { $0 == "true" || $0 == "false" } ? nil : "expected true or false"
        case .list:
            return !values.isEmpty && values.allSatisfy(isName) ? nil : "expected at least one value"
        case .count(let range):
            let number = values.first.flatMap { Int($0) }
            return number.map(range.contains) == true
                ? nil : "expected a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .size: return values.first.map(isSize) == true ? nil : "expected a size such as 512M or 4G"
        case .text: return values.first.map(isName) == true ? nil : "expected a value"
        case .choice(let choices):
            return values.first.map(choices.contains) == true
                ? nil : "expected one of \(choices.joined(separator: ", "))"
        }
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && !text.hasPrefix("-") && ConfigReader.isPlain(text)
    }

    private static func isSize(_ text: String) -> Bool {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let units = ["", "b", "k", "kb", "kib", "m", "mb", "mib", "g", "gb", "gib", "t", "tb", "tib"]
        return Double(digits).map { $0 > 0 && $0 < 1e15 } == true
            && units.contains(text.dropFirst(digits.count).lowercased())
    }
}

// MARK: - Adapters

extension EngineCommandLine {
    /// Where the name of an adapter leads.
    enum AdapterOrigin: String {
        case hub
        case registry = "pbase"
        case folder = "local"

        /// `hf:owner/name` and `owner/name` are the hub's, `name` and `name/3` the registry's, the rest are paths.
        init(of name: String) {
            let parts = name.split(separator: "/", omittingEmptySubsequences: false)
            if name.hasPrefix("hf:") {
                self = .hub
            } else if ["/", ".", "~"].contains(where: name.hasPrefix) || parts.count > 2 {
                self = .folder
            } else {
                let isVersioned = parts.count == 2 && parts[1].allSatisfy { $0.isASCII && $0.isNumber }
                self = parts.count == 1 || isVersioned ? .registry : .hub
            }
        }
    }

    private mutating func addAdapters(_ config: DeploymentConfig) {
        let names = config.preloadedAdapters
        guard let first = names.first else { return }
        let origin = chosenOrigin ?? AdapterOrigin(of: first)
        if config.mergesAdapter {
            if names.count == 1, value(of: "--merge-adapter") == nil {
                set("--merge-adapter", [mergeName(first, origin)])
            }
            return
        }
        let field = DeploymentConfigField.preloadedAdapters.wireName
        if chosenOrigin == nil {
            if let other = names.first(where: { AdapterOrigin(of: $0) != origin }) {
                faults.append(
                    ConfigFault(
                        field: field, value: .string(other),
                        expected: "is of another place than \"\(first)\"; give --adapter-source in customArgs"))
            }
            if origin == .folder {
                faults.append(
                    ConfigFault(
                        field: field, value: .string(first),
                        expected:
                            "is a path; register it with 'pbctl adapters add', or give --adapter-root in customArgs"))
            }
            set("--adapter-source", [origin.rawValue])
        }
        let earlier = options.first { $0.name == "--preloaded-adapter-ids" }?.values ?? []
        let ids = names.map { $0.hasPrefix("hf:") ? String($0.dropFirst(3)) : $0 }
        set("--preloaded-adapter-ids", ids + earlier.filter { !ids.contains($0) })
    }

    /// Where `customArgs` say that adapters are.
    private var chosenOrigin: AdapterOrigin? {
        if let source = value(of: "--adapter-source") { return AdapterOrigin(rawValue: source) }
        return value(of: "--adapter-root") == nil ? nil : .folder
    }

    /// The adapter as `--merge-adapter` takes it.
    private func mergeName(_ name: String, _ origin: AdapterOrigin) -> String {
        switch origin {
        case .hub: return name.hasPrefix("hf:") ? name : "hf:\(name)"
        case .registry: return name
        case .folder:
            guard !name.hasPrefix("/"), let root = value(of: "--adapter-root") else { return name }
            return "\(root)/\(name)"
        }
    }
}
