/// Why a load could not be made or planned. What single requests run into is counted instead (``RequestFailure``).
public struct LoadGeneratorError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds that callers tell apart.
    public enum Code: Sendable {
        /// An option makes no sense, alone or with the others.
        case badOption
        /// libcurl is not there or lacks something.
        case missingLibrary
        /// No answer at all from the server.
        case unreachable
        /// The server answered something that the load can't be made with.
        case unusableAnswer
    }

    /// The kind.
    public let code: Code
    /// What, which and what to do.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
