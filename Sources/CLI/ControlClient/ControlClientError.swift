package import ControlAPI

/// Why a call to a server gave nothing.
package struct ControlClientError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// No server answers at the address, or the connection broke.
        case unreachable
        /// The server refused: ``ControlClientError/problem`` says why.
        case refused
        /// What answered is no server of this kind, or of a version that is too far away.
        case badAnswer
        /// The caller asked to stop.
        case cancelled
        /// A shared library that is needed is not installed.
        case missingLibrary
        /// An address that can't be one.
        case badAddress
        /// No server runs, and none may be or could be started.
        case notRunning
    }

    package var code: Code
    package var message: String
    package var hint: String?
    /// HTTP status of a refusal.
    package var status: Int?
    package var problem: APIProblem?

    package init(_ code: Code, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// A refusal in the server's words.
    package init(_ problem: APIProblem, status: Int) {
        code = .refused
        let faults = problem.faults.map { "\($0.field) \($0.value): \($0.expected)" }
        // Servers of ours say the faults in the message, in words of their own.
        let isSaid = problem.faults.allSatisfy { problem.message.contains($0.field) }
        message = isSaid ? problem.message : "\(problem.message): \(faults.joined(separator: "; "))"
        hint = problem.hint
        self.status = status
        self.problem = problem
    }

    package var description: String { hint.map { "\(message) (\($0))" } ?? message }

    /// Whether the same call may well succeed later. A deployment that is stopped or has failed (503, too) waits for
    /// its owner.
    package var isRetryable: Bool {
        guard let status, [429, 503, 504].contains(status) else { return false }
        return !["deployment_stopped", "deployment_errored"].contains(problem?.code)
    }
}
