import HTTPServing
import ServingJSON
package import ServingTensors

/// One prompt of `/v1/completions` or one input of `/v1/embeddings`.
package enum PromptInput: Sendable, Equatable {
    /// Text, to be tokenized.
    case text(String)
    /// Token ids.
    case tokenIDs([TokenID])

    /// The text, where it came as one.
    package var text: String? { if case .text(let text) = self { text } else { nil } }

    /// Reads a string, a list of strings, a list of token ids or a list of such lists.
    static func inputs(_ name: String, _ fields: WireObject) throws(OpenAIError) -> [PromptInput] {
        guard let value = fields[name] else {
            throw .invalid("you must provide a \(name)", param: name)
        }
        let expected = "\(name) must be a string, a list of strings, a list of token ids or a list of such lists"
        if let text = value.stringValue { return [.text(text)] }
        guard let elements = value.arrayValue else { throw .invalid(expected, param: name) }
        guard let first = elements.first else { throw .invalid("\(name) can't be an empty list", param: name) }
        var result: [PromptInput] = []
        switch first {
        case .string:
            for element in elements {
                guard let text = element.stringValue else { throw .invalid(expected, param: name) }
                result.append(.text(text))
            }
        case .array:
            for element in elements {
                guard let ids = tokenIDs(element.arrayValue) else { throw .invalid(expected, param: name) }
                result.append(.tokenIDs(ids))
            }
        default:
            guard let ids = tokenIDs(elements) else { throw .invalid(expected, param: name) }
            result.append(.tokenIDs(ids))
        }
        guard result.count <= limit else {
            throw .invalid("\(name) has \(result.count) elements; at most \(limit) are taken at a time", param: name)
        }
        return result
    }

    /// Most prompts or inputs a request.
    package static let limit = 2048

    private static func tokenIDs(_ elements: [JSONValue]?) -> [TokenID]? {
        guard let elements else { return nil }
        var ids: [TokenID] = []
        ids.reserveCapacity(elements.count)
        for element in elements {
            guard case .integer(let value) = element, let id = TokenID(exactly: value) else { return nil }
            ids.append(id)
        }
        return ids
    }
}
