import ServingJSON
import Yams

/// A value out of a YAML text, with the lines that its parts stand on.
struct YAMLDocument: Sendable, Equatable {
    let value: JSONValue
    /// First line of the document, from 1.
    let line: Int
    /// Lines of members and elements by their path (`config.maxReplicas`, `items[2].name`).
    let lines: [String: Int]

    /// What is wrong with a text, and where.
    struct Malformed: Error, Equatable, CustomStringConvertible {
        let line: Int?
        let reason: String
        var description: String { line.map { "line \($0): \(reason)" } ?? reason }
    }

    /// All documents of a text, empty ones left out.
    ///
    /// Plain scalars are what JSON would make of them (YAML 1.2's core): `yes`, `0o17` and dates stay texts. Aliases
    /// count as what they stand for, so that a small text can't become a huge value.
    static func all(in text: String) throws(Malformed) -> [YAMLDocument] {
        var documents: [YAMLDocument] = []
        do {
            let parser = try Parser(yaml: text)
            while let root = try parser.nextRoot() {
                var reader = NodeReader()
                let value = try reader.value(root, at: "", depth: 0)
                guard !value.isNull else { continue }
                documents.append(YAMLDocument(value: value, line: root.mark?.line ?? 1, lines: reader.lines))
            }
        } catch let error as Malformed {
            throw error
        } catch let error as YamlError {
            throw malformed(error)
        } catch {
            throw Malformed(line: nil, reason: "\(error)")
        }
        return documents
    }

    private static func malformed(_ error: YamlError) -> Malformed {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return Malformed(line: mark.line, reason: problem)
        case .reader(let problem, _, _, _): return Malformed(line: nil, reason: problem)
        default: return Malformed(line: nil, reason: "\(error)".onOneLine)
        }
    }
}

/// Makes JSON of YAML's nodes.
private struct NodeReader {
    private(set) var lines: [String: Int] = [:]
    private var count = 0

    private static let nodeLimit = 100_000
    private static let depthLimit = 64

    mutating func value(_ node: Node, at path: String, depth: Int) throws(YAMLDocument.Malformed) -> JSONValue {
        let line = node.mark?.line
        count += 1
        guard count <= Self.nodeLimit, depth <= Self.depthLimit else {
            throw YAMLDocument.Malformed(
                line: line, reason: "more than \(Self.nodeLimit) values, or nested deeper than \(Self.depthLimit)")
        }
        if let line, !path.isEmpty, lines[path] == nil { lines[path] = line }
        switch node {
        case .scalar(let scalar): return Self.value(scalar)
        case .sequence(let sequence):
            var elements: [JSONValue] = []
            for (position, element) in sequence.enumerated() {
                elements.append(try value(element, at: "\(path)[\(position)]", depth: depth + 1))
            }
            return .array(elements)
        case .mapping(let mapping): return .object(try object(mapping, at: path, depth: depth))
        case .alias: throw YAMLDocument.Malformed(line: line, reason: "an alias of something that is not there")
        }
    }

    private mutating func object(
        _ mapping: Node.Mapping, at path: String, depth: Int
    ) throws(YAMLDocument.Malformed) -> JSONObject {
        var object = JSONObject()
        for (key, member) in mapping {
            guard let name = key.scalar?.string else {
                throw YAMLDocument.Malformed(line: key.mark?.line, reason: "expected a text as a key")
            }
            guard object[name] == nil else {
                throw YAMLDocument.Malformed(line: key.mark?.line, reason: "\(name) is there twice")
            }
            let inner = path.isEmpty ? name : "\(path).\(name)"
            if let line = key.mark?.line { lines[inner] = line }
            object[name] = try value(member, at: inner, depth: depth + 1)
        }
        return object
    }

    private static func value(_ scalar: Node.Scalar) -> JSONValue {
        let text = scalar.string
        guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        // A number is what JSON takes for one; all else is a text.
        guard let first = text.utf8.first, first == UInt8(ascii: "-") || (0x30...0x39).contains(first),
            let number = try? JSONValue(parsing: text), number.doubleValue?.isFinite == true
        else { return .string(text) }
        return number
    }
}
