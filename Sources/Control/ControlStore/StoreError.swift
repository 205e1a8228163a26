/// Why the store could not do what it was asked. Every error that leaves this module's store is one.
package struct StoreError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// Another deployment that is not deleted has the name.
        case nameTaken
        /// Somebody else changed the spec meanwhile; ``StoreError/actualGeneration`` says where it is now.
        case conflict
        /// There is no such deployment, or it is history.
        case notFound
        /// What was asked makes no sense (a range that ends before it begins).
        case invalid
        /// Nothing was changed; the same will work when there is space again.
        case diskFull
        /// Another program keeps the file locked.
        case busy
        /// The file is damaged, is missing though its backup is there, or is not pbctl's. It was left as it is.
        case corrupt
        /// A newer pbctl wrote the file. It was left as it is.
        case newerVersion
        /// The file or its folder can't be made, read or written.
        case cannotOpen
        /// The store was closed.
        case closed
        /// Anything else that SQLite says.
        case failed
    }

    package var code: Code
    /// What, which, what to do. Of one line, but for damaged files, where the commands to restore follow.
    package var message: String
    /// What SQLite or the system said; nil where it has no part in it.
    package var cause: String?
    /// Generation that the spec is at, with `.conflict`.
    package var actualGeneration: Int?

    package init(_ code: Code, _ message: String, cause: String? = nil, actualGeneration: Int? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
        self.actualGeneration = actualGeneration
    }

    package var description: String { message }

    /// One word, fit for a label of a metric.
    package var shortDescription: String { code.rawValue }

    /// Whether the same may work a little later without anybody doing anything about the request itself.
    package var isRetryable: Bool {
        switch code {
        case .busy, .diskFull: true
        default: false
        }
    }
}
