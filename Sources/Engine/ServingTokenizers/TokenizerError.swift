/// Why a tokenizer could not be made: what is wrong, where, what was expected and what was found.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file is not JSON.
    case invalidJSON(reason: String)
    /// A field is missing or has the wrong form. `field` is a path such as `model.vocab`.
    case invalidField(field: String, expected: String, found: String)
    /// A kind of model, normalizer, pre-tokenizer or decoder that is not known here.
    case unsupported(field: String, kind: String)
    /// A regular expression that is malformed or uses what is not supported.
    case invalidPattern(pattern: String, offset: Int, reason: String)
    /// A token id that is negative, too large or out of the vocabulary.
    case tokenIDOutOfRange(field: String, id: Int, limit: Int)
    /// A merge names a token that the vocabulary lacks.
    case unknownTokenInMerge(index: Int, token: String)
    /// A binary file ends early or holds something else than expected.
    case malformedModel(offset: Int, expected: String, found: String)

    /// One line for people.
    public var description: String {
        switch self {
        case .invalidJSON(let reason): "tokenizer is not JSON: \(reason)"
        case .invalidField(let field, let expected, let found):
            "tokenizer field \(field): expected \(expected), found \(found)"
        case .unsupported(let field, let kind): "tokenizer field \(field): \(kind) is not supported"
        case .invalidPattern(let pattern, let offset, let reason):
            "tokenizer pattern \(pattern): \(reason) at character \(offset)"
        case .tokenIDOutOfRange(let field, let id, let limit):
            "tokenizer field \(field): token id \(id) is not in 0..<\(limit)"
        case .unknownTokenInMerge(let index, let token):
            "tokenizer merge \(index): \(token) is not in the vocabulary"
        case .malformedModel(let offset, let expected, let found):
            "tokenizer model at byte \(offset): expected \(expected), found \(found)"
        }
    }
}
