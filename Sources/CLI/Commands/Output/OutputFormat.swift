import ArgumentParser
import ServingJSON
import Terminal

/// Forms of a result, as kubectl's users know them.
enum OutputFormat: ExpressibleByArgument, Sendable, Equatable {
    case table, wide, json, yaml, name
    case jsonPath(JSONPath)

    init?(argument: String) {
        switch argument {
        case "table": self = .table
        case "wide": self = .wide
        case "json": self = .json
        case "yaml": self = .yaml
        case "name": self = .name
        default:
            guard argument.hasPrefix("jsonpath="), let path = try? JSONPath(String(argument.dropFirst(9))) else {
                return nil
            }
            self = .jsonPath(path)
        }
    }

    static var allValueStrings: [String] { ["table", "wide", "json", "yaml", "name", "jsonpath="] }

    var defaultValueDescription: String {
        switch self {
        case .table: "table"
        case .wide: "wide"
        case .json: "json"
        case .yaml: "yaml"
        case .name: "name"
        case .jsonPath: "jsonpath=..."
        }
    }

    /// Whether it is for people.
    var isTable: Bool { self == .table || self == .wide }

    static let help = "Format: table, wide, json, yaml, name or jsonpath=TEMPLATE."
}

/// JSON objects as scripts get them: with the version and kind of what they are.
enum Resource {
    static let version = "pbctl/v1"

    /// One object.
    static func single(_ kind: String, _ object: JSONObject) -> JSONValue {
        .object(JSONObject(head(kind) + Array(object.members).map { ($0.0, $0.1) }))
    }

    /// Several, under `items`.
    static func list(_ kind: String, _ objects: [JSONObject]) -> JSONValue {
        .object(JSONObject(head("\(kind)List") + [("items", .array(objects.map { .object($0) }))]))
    }

    private static func head(_ kind: String) -> [(String, JSONValue)] {
        [("apiVersion", .string(version)), ("kind", .string(kind))]
    }

    /// Writes a value in a form that is not for people. `names` are what `-o name` gives.
    static func write(
        _ value: JSONValue, as format: OutputFormat, names: [String] = [], style: JSONStyle = .pretty
    ) throws {
        switch format {
        case .table, .wide: preconditionFailure("tables are the command's own")
        case .json: try TextOutput.standard.writeLine(value.text(style: style))
        case .yaml: try TextOutput.standard.write((style == .compact ? "---\n" : "") + YAMLText.text(of: value))
        case .name: for name in names { try TextOutput.standard.writeLine(name) }
        case .jsonPath(let path):
            let text = path.text(of: value)
            try TextOutput.standard.write(text.hasSuffix("\n") || text.isEmpty ? text : text + "\n")
        }
        try TextOutput.standard.flush()
    }
}
