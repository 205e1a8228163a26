import Glibc
import ServingChatTemplates
import ServingJSON

/// Reference renderings in a folder of JSON files.
enum ChatFixtures {
    struct Case: Sendable, CustomStringConvertible {
        let template: String
        let name: String
        let context: JSONObject
        /// Nil where rendering fails.
        let text: String?
        let error: String?

        var description: String { name }
    }

    private static let repository = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/")
    static let folder = repository + "/Tests/Fixtures/chat"
    /// Templates of more models, where they were put beside the repository.
    static let sweepFolder =
        repository.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        + "/shared/fixtures/chat"
    static let date = ChatTemplateDate(year: 2025, month: 7, day: 26)

    static func bytes(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    static func names(in folder: String, endingWith suffix: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { name in
                String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(suffix) { names.append(name) }
        }
        return names.sorted()
    }

    /// The cases of all models in a folder.
    static func models(in folder: String) -> [Case] {
        names(in: folder, endingWith: ".json").flatMap { file -> [Case] in
            guard let bytes = bytes(folder + "/" + file), let json = try? JSONValue(parsing: bytes),
                let template = json["template"]?.stringValue
            else { return [] }
            return (json["cases"]?.arrayValue ?? []).map { row in
                Case(
                    template: template, name: file + " " + (row["name"]?.stringValue ?? ""),
                    context: row["context"]?.objectValue ?? JSONObject(), text: row["text"]?.stringValue,
                    error: row["error"]?.stringValue)
            }
        }
    }

    /// The small templates, all with one context.
    static func snippets() throws -> [Case] {
        let context = try JSONValue(parsing: bytes(folder + "/context.json") ?? []).objectValue ?? JSONObject()
        let lines = (bytes(folder + "/snippets.jsonl") ?? []).split(separator: 0x0A)
        return try lines.map { line in
            let row = try JSONValue(parsing: Array(line))
            let template = row["template"]?.stringValue ?? ""
            return Case(
                template: template, name: template, context: context, text: row["text"]?.stringValue,
                error: row["error"] == nil ? nil : "")
        }
    }

    static func render(
        _ template: String, _ context: JSONObject = JSONObject(), limits: ChatTemplateLimits = ChatTemplateLimits()
    ) throws(ChatTemplateError) -> String {
        try ChatTemplate(source: template).render(context, limits: limits, now: date)
    }
}
