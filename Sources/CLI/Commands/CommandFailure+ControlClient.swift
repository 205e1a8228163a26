import ControlClient

extension CommandFailure {
    /// What a call to a server that gave nothing means to a user.
    init(_ error: ControlClientError) {
        let status =
            switch error.code {
            case .unreachable, .notRunning: ExitStatus.unreachable
            case .cancelled: ExitStatus.interrupted
            case .badAddress: ExitStatus.usage
            case .refused where error.isRetryable: ExitStatus.tryAgain
            case .refused where error.status == 422: ExitStatus.dataError
            default: error.isRetryable ? ExitStatus.tryAgain : ExitStatus.failed
            }
        self.init(error.message, hint: error.hint, status: status)
    }
}
