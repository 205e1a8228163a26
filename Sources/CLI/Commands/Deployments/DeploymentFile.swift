import Deployments
import ServingJSON

/// One deployment as a file describes it:
/// ```
/// apiVersion: pbctl/v1
/// kind: Deployment
/// name: demo
/// description: ...
/// config:
///   baseModel: ./model.gguf
///   maxReplicas: 4
/// ```
/// Fields of the config are spelled as on the wire or in snake case. Faults name file, line, field, value and what was
/// expected.
struct DeploymentFile: Sendable, Equatable {
    /// Nil where the file leaves it to the command line.
    var name: String?
    var description: String?
    /// Fields by their names on the wire.
    var config: JSONObject
    /// Where it stands, for messages: `demo.yaml`, `demo.yaml:12`.
    var place: String

    /// All deployments in a file (`-` for standard input), YAML or JSON; several documents, or a list under `items`.
    static func all(in path: String) throws -> [DeploymentFile] {
        let text = try InputText.content(of: path == "-" ? path : TextFile.expanded(path))
        let shown = path == "-" ? "standard input" : path
        return try all(text: text, path: shown)
    }

    /// The same for a text that is there already.
    static func all(text: String, path: String) throws(CommandFailure) -> [DeploymentFile] {
        var files: [DeploymentFile] = []
        for document in try documents(text, path) {
            let reader = DeploymentFileReader(path: path, document: document)
            let isBare = document.value.arrayValue != nil
            guard let items = document.value.arrayValue ?? document.value["items"]?.arrayValue else {
                files.append(try reader.file(document.value, at: ""))
                continue
            }
            for (position, item) in items.enumerated() {
                files.append(try reader.file(item, at: "\(isBare ? "" : "items")[\(position)]."))
            }
        }
        guard !files.isEmpty else { throw DeploymentFileReader.failure("\(path): there is no deployment in it") }
        let names = files.compactMap(\.name)
        for (index, name) in names.enumerated() where names[..<index].contains(name) {
            throw DeploymentFileReader.failure("\(path): deployment \"\(name)\" is there twice")
        }
        return files
    }

    private static func documents(_ text: String, _ path: String) throws(CommandFailure) -> [YAMLDocument] {
        let start = text.first { !$0.isWhitespace }
        if start == "{" || start == "[", let value = try? JSONValue(parsing: text) {
            return [YAMLDocument(value: value, line: 1, lines: [:])]
        }
        do throws(YAMLDocument.Malformed) { return try YAMLDocument.all(in: text) } catch {
            throw DeploymentFileReader.failure("\(path)\(error.line.map { ":\($0)" } ?? ""): \(error.reason)")
        }
    }
}

/// Reads one deployment out of a document.
private struct DeploymentFileReader {
    let path: String
    let document: YAMLDocument

    static func failure(_ message: String) -> CommandFailure {
        CommandFailure(message, status: ExitStatus.dataError)
    }

    /// A fault at a field, with its line where that is known.
    private func fault(_ field: String, _ text: String) -> CommandFailure {
        let line = document.lines[field].map { ":\($0)" } ?? ""
        return Self.failure("\(path)\(line): \(text)")
    }

    func file(_ value: JSONValue, at prefix: String) throws(CommandFailure) -> DeploymentFile {
        guard let object = value.objectValue else {
            throw Self.failure("\(path):\(document.line): expected a deployment: an object with name and config")
        }
        try check(object, at: prefix)
        let line = document.lines[prefix + "name"] ?? document.line
        var file = DeploymentFile(
            name: try text(object, "name", prefix), description: try text(object, "description", prefix),
            config: JSONObject(), place: document.lines.isEmpty ? path : "\(path):\(line)")
        if let name = file.name {
            do throws(DeploymentName.Malformed) { _ = try DeploymentName(name) } catch {
                throw fault(prefix + "name", error.description)
            }
        }
        if let config = object["config"], !config.isNull {
            guard let config = config.objectValue else {
                throw fault(prefix + "config", "config: expected an object such as {baseModel: model.gguf}")
            }
            file.config = try self.config(config, at: prefix + "config.")
        }
        return file
    }

    private static let known = ["apiVersion", "kind", "name", "description", "config"]

    private func check(_ object: JSONObject, at prefix: String) throws(CommandFailure) {
        for key in object.keys where !Self.known.contains(key) {
            let near = Spelling.nearest(to: key, among: Self.known).map { "did you mean \($0)?" }
            let isField = DeploymentConfigField(spelling: key) != nil
            throw fault(
                prefix + key,
                "unknown field \(key) (\(near ?? (isField ? "it belongs under config" : "expected \(Self.known)")))")
        }
        if let version = try text(object, "apiVersion", prefix), version != Resource.version {
            throw fault(prefix + "apiVersion", "apiVersion \"\(version)\": expected \(Resource.version)")
        }
        if let kind = try text(object, "kind", prefix), kind != "Deployment" {
            throw fault(prefix + "kind", "kind \"\(kind)\": expected Deployment")
        }
    }

    private func text(_ object: JSONObject, _ key: String, _ prefix: String) throws(CommandFailure) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let text = value.stringValue else {
            throw fault(prefix + key, "\(key) \(ConfigFault.excerpt(value)): expected a text")
        }
        return text
    }

    /// The config by names on the wire, checked as the server will check it, with all faults at once.
    private func config(_ given: JSONObject, at prefix: String) throws(CommandFailure) -> JSONObject {
        var config = JSONObject()
        var places: [String: String] = [:]
        for (key, value) in given.members {
            guard let field = DeploymentConfigField(spelling: key) else {
                let near = DeploymentConfigField.nearest(to: key).map { " (did you mean \($0)?)" } ?? ""
                throw fault(prefix + key, "unknown field config.\(key)\(near)")
            }
            guard config[field.wireName] == nil else {
                throw fault(prefix + key, "config.\(key): \(field.wireName) is there already, spelled otherwise")
            }
            config[field.wireName] = value
            places[field.wireName] = prefix + key
        }
        do throws(DeploymentConfigError) {
            // A file without a model may change a deployment that has one.
            var whole = config
            if whole["baseModel"] == nil { whole["baseModel"] = "model" }
            _ = try DeploymentConfig(creating: .object(whole))
        } catch {
            let texts = error.faults.map { fault in
                let line = places[fault.field].flatMap { document.lines[$0] }.map { ":\($0)" } ?? ""
                return "\(path)\(line): config.\(fault.description)"
            }
            throw Self.failure(texts.joined(separator: "; "))
        }
        return config
    }
}
