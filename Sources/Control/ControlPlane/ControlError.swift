package import Deployments

/// Why the control plane does not do what a client asks, with what clients read.
package struct ControlError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        case malformed
        case notFound = "not_found"
        case nameTaken = "name_taken"
        case conflict
        case invalidConfig = "invalid_config"
        case invalidState = "invalid_state"
        case storeUnavailable = "store_unavailable"
        case shuttingDown = "shutting_down"
    }

    package var code: Code
    package var message: String
    package var hint: String?
    /// What is wrong with a config, one fault a field.
    package var faults: [ConfigFault]

    package init(
        _ code: Code, _ message: String, hint: String? = nil, faults: [ConfigFault] = []
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.faults = faults
    }

    /// HTTP status.
    package var status: Int {
        switch code {
        case .malformed: 400
        case .notFound: 404
        case .nameTaken, .conflict, .invalidState: 409
        case .invalidConfig: 422
        case .storeUnavailable, .shuttingDown: 503
        }
    }

    package var description: String { message }
}
