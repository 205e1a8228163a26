import ArgumentParser
import Deployments
import ServingJSON

/// Fields of a deployment's config, as flags: those that everybody needs by name, all others with `--set`.
struct DeploymentConfigOptions: ParsableArguments {
    @Option(
        name: .customLong("adapter"),
        help: ArgumentHelp("Load this adapter at start; may be repeated.", valueName: "adapter"),
        completion: .directory)
    var adapters: [String] = []

    @Option(
        name: .customLong("min"), help: ArgumentHelp("Fewest replicas; 0 lets it scale to zero.", valueName: "count"))
    var minReplicas: Int?

    @Option(name: .customLong("max"), help: ArgumentHelp("Most replicas.", valueName: "count"))
    var maxReplicas: Int?

    @Option(help: ArgumentHelp("Time without load before replicas are given up.", valueName: "duration"))
    var cooldown: DurationText?

    @Option(
        help: ArgumentHelp("Requests that a replica handles at a time before another is started.", valueName: "count"))
    var threshold: Int?

    @Option(
        help: ArgumentHelp(
            "Set any field of the config, such as maxTotalTokens=4096; @FILE as the value reads a file. May be "
                + "repeated.", valueName: "field=value"))
    var set: [FieldAssignment] = []

    /// What the flags set, by names on the wire. `--set` comes last.
    func config(paths: PathAnchor) throws -> JSONObject {
        var config = JSONObject()
        if !adapters.isEmpty { config["preloadedAdapters"] = .array(adapters.map { .string($0) }) }
        if let minReplicas { config["minReplicas"] = .integer(Int64(minReplicas)) }
        if let maxReplicas { config["maxReplicas"] = .integer(Int64(maxReplicas)) }
        if let cooldown { config["cooldownTime"] = .integer(Int64(cooldown.seconds)) }
        if let threshold { config["scaleUpRequestThreshold"] = .integer(Int64(threshold)) }
        for assignment in set { config[try assignment.wireName()] = try assignment.value() }
        return paths.anchored(config)
    }
}

/// Where paths in a config lead from: the server has a folder of its own, so that it is told whole paths.
struct PathAnchor: Sendable, Equatable {
    /// Nil where the server is on another machine, whose paths are its own affair.
    let folder: String?

    /// A config whose model and adapters are whole paths where they are files or folders of this machine.
    func anchored(_ config: JSONObject) -> JSONObject {
        guard folder != nil else { return config }
        var config = config
        if case .string(let model)? = config["baseModel"] { config["baseModel"] = .string(anchored(model)) }
        if case .array(let adapters)? = config["preloadedAdapters"] {
            config["preloadedAdapters"] = .array(
                adapters.map { adapter in adapter.stringValue.map { .string(anchored($0)) } ?? adapter })
        }
        return config
    }

    private func anchored(_ text: String) -> String {
        guard let folder, !text.isEmpty else { return text }
        let path = TextFile.expanded(text)
        guard !path.hasPrefix("/") else { return path }
        let isPath = path.hasPrefix("./") || path.hasPrefix("../") || TextFile.exists(folder + "/" + path)
        // Links stay what they are: what they lead to may change between one start and the next.
        let parts = path.split(separator: "/").filter { $0 != "." }
        return isPath ? ([folder == "/" ? "" : folder] + parts.map(String.init)).joined(separator: "/") : text
    }
}
