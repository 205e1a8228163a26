/// What went wrong while finding, fetching or keeping a model.
///
/// The message is one line that says what and which; the hint, where there is one, what to do about it. Commands map
/// ``code-swift.property`` to an exit status, never the text.
public struct ModelHubError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case badReference, notFound, notAllowed, unreachable, hubFailed, corrupt, diskFull, cannotWrite, unsupported
            case busy, cancelled, missingLibrary
        }
        private let value: Value

        /// A reference, name or setting that cannot be one.
        public static let badReference = Code(value: .badReference)
        /// No such model, file or revision.
        public static let notFound = Code(value: .notFound)
        /// The hub wants a token, or the token lacks the right.
        public static let notAllowed = Code(value: .notAllowed)
        /// No connection, or one that kept breaking.
        public static let unreachable = Code(value: .unreachable)
        /// The hub answered with something that is no sensible answer.
        public static let hubFailed = Code(value: .hubFailed)
        /// Content that is not what its checksum or manifest says.
        public static let corrupt = Code(value: .corrupt)
        /// No room on the disk.
        public static let diskFull = Code(value: .diskFull)
        /// A folder or file that cannot be made, read or written.
        public static let cannotWrite = Code(value: .cannotWrite)
        /// A model in a form that pbctl does not load.
        public static let unsupported = Code(value: .unsupported)
        /// Another process is at work on the same model.
        public static let busy = Code(value: .busy)
        /// The caller asked to stop.
        public static let cancelled = Code(value: .cancelled)
        /// A shared library that is needed is not installed.
        public static let missingLibrary = Code(value: .missingLibrary)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The kind of failure.
    public let code: Code
    /// What failed and on which thing; one line.
    public let message: String
    /// What to do about it, or nil.
    public let hint: String?
    /// Whether the same call may well succeed later.
    public var isRetryable: Bool { [.unreachable, .hubFailed, .busy].contains(code) }
    /// The message, with the hint in parentheses.
    public var description: String { hint.map { "\(message) (\($0))" } ?? message }

    init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }
}
