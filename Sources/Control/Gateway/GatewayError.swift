import Deployments
package import HTTPServing
import HTTPTypes
import ServingJSON

/// Why the gateway itself does not answer a request as it was meant to, in the forms of both kinds of routes.
package struct GatewayError: Error, Equatable, Sendable {
    package var status: Int
    package var message: String
    /// OpenAI's class of errors, its code, and the field at fault.
    package var type: String
    package var code: String?
    package var param: String?
    /// LoRAX's class of errors; empty where it has none, so that its clients go by the status.
    package var nativeType: String

    package init(
        _ status: Int, _ message: String, type: String, code: String? = nil, param: String? = nil,
        nativeType: String = ""
    ) {
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.nativeType = nativeType
    }

    /// The error as an answer.
    package func reply(_ form: GatewayEndpoint.Form) -> HTTPReply {
        switch form {
        case .openAI: return HTTPReply(openAI)
        case .native:
            var reply = HTTPReply.json(native, status: status)
            if status == 429 || status == 503 { reply.headers[.retryAfter] = "1" }
            return reply
        }
    }

    /// The error as the last event of a stream.
    package func event(_ form: GatewayEndpoint.Form) -> [UInt8] {
        switch form {
        case .openAI: return EventStream.frame(openAI)
        case .native:
            var json = JSONBytes()
            json.frame("data:")
            json.raw(native.bytes)
            json.frame("\n\n")
            return json.bytes
        }
    }

    private var openAI: OpenAIError { OpenAIError(status, message, type: type, param: param, code: code) }

    private var native: JSONBytes {
        var json = JSONBytes()
        json.openObject()
        json.member("error", message)
        json.member("error_type", nativeType)
        json.closeObject()
        return json
    }
}

extension GatewayError {
    /// No deployment of this name. `model` is what the client wrote where it named a model.
    static func unknownDeployment(_ name: String, near: [String], model: String? = nil) -> GatewayError {
        let hint = near.isEmpty ? "" : "; did you mean \(near.map { "\"\($0)\"" }.joined(separator: " or "))?"
        let message = "there is no deployment \"\(name.prefix(80))\"\(hint)"
        return GatewayError(
            404, model.map { "The model `\($0.prefix(200))` does not exist: \(message)" } ?? message,
            type: "invalid_request_error", code: "model_not_found", param: model == nil ? nil : "model",
            nativeType: "not_found")
    }

    static func notFound(_ path: String) -> GatewayError {
        GatewayError(
            404, "Unknown request URL: \(path.prefix(200))", type: "invalid_request_error", code: "unknown_url",
            nativeType: "not_found")
    }

    /// A request that can't be.
    static func invalid(_ message: String, param: String? = nil) -> GatewayError {
        GatewayError(400, message, type: "invalid_request_error", param: param, nativeType: "validation")
    }

    static func adaptersDisabled(_ name: DeploymentName) -> GatewayError {
        GatewayError(
            400, "deployment \"\(name)\" takes no adapters (its config has disableAdapters)",
            type: "invalid_request_error", code: "invalid_adapter", param: "model", nativeType: "validation")
    }

    static let draining = GatewayError(
        503, "The server is shutting down; try again later", type: "server_error", code: "shutting_down",
        nativeType: "shutting_down")

    static let overloaded = GatewayError(
        429, "The server has too many requests under way; try again later", type: "rate_limit_error",
        code: "rate_limit_exceeded", nativeType: "overloaded")

    /// Replicas took the request, and none of them finished it.
    static func replicaLost(_ name: DeploymentName, _ reason: String) -> GatewayError {
        GatewayError(
            502, "deployment \"\(name)\": the replica broke off (\(reason)); `pbctl logs \(name)` may say why",
            type: "server_error", code: "replica_lost", nativeType: "incomplete_generation")
    }

    /// No replica took the request.
    static func replicaRefused(_ name: DeploymentName, _ reason: String) -> GatewayError {
        GatewayError(
            503, "deployment \"\(name)\": no replica takes the request (\(reason)); try again later",
            type: "server_error", code: "replica_unavailable")
    }

    /// - Parameter timeout: how long the request might have waited.
    init(
        _ refusal: DispatchStateMachine.Refusal, _ name: DeploymentName, condition: DeploymentCondition?,
        timeout: Duration
    ) {
        switch refusal {
        case .unavailable(let condition): self = Self.unavailable(name, condition)
        case .removed: self = Self.unknownDeployment(name.text, near: [])
        case .draining: self = .draining
        case .left: self = GatewayError(499, "The client went", type: "server_error", code: "cancelled")
        case .queueFull(let limit):
            self = GatewayError(
                429, "deployment \"\(name)\": \(limit) requests wait for a replica already; try again later",
                type: "rate_limit_error", code: "rate_limit_exceeded", nativeType: "overloaded")
        case .deadline:
            let state = condition.map { " (\($0.status.rawValue): \($0.message))" } ?? ""
            self = GatewayError(
                504, "deployment \"\(name)\" had no replica for this request within \(timeout.seconds) s\(state)",
                type: "server_error", code: "timeout")
        }
    }

    private static func unavailable(_ name: DeploymentName, _ condition: DeploymentCondition) -> GatewayError {
        switch condition.status {
        case .deleted: return unknownDeployment(name.text, near: [])
        case .stopped:
            return GatewayError(
                503, "deployment \"\(name)\" is stopped; start it with `pbctl start \(name)`", type: "server_error",
                code: "deployment_stopped")
        default:
            return GatewayError(
                503,
                "deployment \"\(name)\" has failed (\(condition.reason)): \(condition.message); "
                    + "`pbctl status \(name)` says more", type: "server_error", code: "deployment_errored")
        }
    }
}

extension Duration {
    /// Seconds for people, without a fraction where there is none.
    fileprivate var seconds: String {
        let value = inSeconds
        return value == value.rounded() && value < 1e15 ? String(Int(value)) : String(value)
    }
}
