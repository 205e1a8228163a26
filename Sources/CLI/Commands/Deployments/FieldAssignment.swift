import ArgumentParser
import Deployments
import ServingJSON

/// `FIELD=VALUE` for a field of a deployment's config. The field is spelled as on the wire or in snake case; `@FILE` as
/// the value takes the content of a file, which keeps secrets out of lists of processes.
struct FieldAssignment: ExpressibleByArgument, Sendable, Equatable {
    let field: String
    let text: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        field = String(argument[..<equals])
        text = String(argument[argument.index(after: equals)...])
    }

    private static let texts: Set<DeploymentConfigField> = [
        .baseModel, .accelerator, .hfToken, .quantization, .loraxImageTag, .speculator, .backend,
    ]
    private static let lists: Set<DeploymentConfigField> = [.preloadedAdapters, .customArgs]

    /// The field's name on the wire.
    func wireName() throws(CommandFailure) -> String {
        guard let known = DeploymentConfigField(spelling: field) else {
            let near = DeploymentConfigField.nearest(to: field).map { "did you mean \($0)?" }
            throw .usage("--set \(field): there is no such field", hint: near ?? "fields: \(Self.allNames)")
        }
        return known.wireName
    }

    private static var allNames: String { DeploymentConfigField.allCases.map(\.wireName).joined(separator: ", ") }

    /// The value as JSON; nothing after the = takes the default back.
    func value() throws -> JSONValue {
        let field = DeploymentConfigField(spelling: field)
        let text = try content()
        if let field, Self.texts.contains(field) { return .string(text) }
        if let field, Self.lists.contains(field) {
            if text.hasPrefix("["), let list = try? JSONValue(parsing: text), list.arrayValue != nil { return list }
            return .array(text.split(separator: ",").map { .string(String($0)) })
        }
        if field == .cooldownTime, let duration = DurationText(argument: text) {
            return .integer(Int64(duration.seconds))
        }
        if text.isEmpty { return field == .computeSpec ? [:] : 0 }
        // What is no JSON goes as a text: the config's own check says what was expected.
        return (try? JSONValue(parsing: text)) ?? .string(text)
    }

    private func content() throws -> String {
        guard text.hasPrefix("@") else { return text }
        var content = try InputText.content(of: TextFile.expanded(String(text.dropFirst())))[...]
        while content.last?.isNewline ?? false { content.removeLast() }
        return String(content)
    }
}
