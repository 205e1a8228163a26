/// Why a chat template could not be parsed or rendered, and where.
public struct ChatTemplateError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    public enum Code: String, Sendable {
        /// The source is not a template: a bad token, an unclosed tag, an unknown filter.
        case syntax
        /// A variable or attribute that does not exist was used for more than printing or testing it.
        case undefined
        /// An operation on values of the wrong type.
        case type
        /// A value outside what an operation takes: division by zero, a number that does not fit in 64 bits.
        case value
        /// Something that the sandbox forbids, as changing a list.
        case security
        /// The template refused the conversation with `raise_exception`; ``ChatTemplateError/message`` is what it said.
        case raised
        /// A limit of ``ChatTemplateLimits`` was reached.
        case limit
        /// A feature of the language that is left out, as `include`.
        case unsupported
    }

    /// The kind of failure.
    public let code: Code
    /// What went wrong; for ``Code/raised`` exactly what the template said.
    public let message: String
    /// Line in the template, from 1; 0 where none is known.
    public internal(set) var line: Int
    /// Column in Unicode scalars, from 1; 0 where none is known.
    public internal(set) var column: Int

    init(_ code: Code, _ message: String, line: Int = 0, column: Int = 0) {
        self.code = code
        self.message = message
        self.line = line
        self.column = column
    }

    /// The message, the kind and the place.
    public var description: String {
        line > 0 ? "\(message) (\(code.rawValue), line \(line), column \(column))" : "\(message) (\(code.rawValue))"
    }
}

typealias Failure = ChatTemplateError
