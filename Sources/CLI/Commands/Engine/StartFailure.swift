import ModelHub
import ServingAdapters
import ServingModelFiles
import ServingModels
import ServingRuntime

/// Tells why a server could not start apart by its exit status, so that whoever started it knows whether to try again:
/// what is missing or broken stays so, the rest may pass.
enum StartFailure {
    /// The error with its exit status; the error itself where the usual one says it.
    static func failure(of error: any Error) -> any Error {
        guard let status = status(of: error) else { return error }
        return CommandFailure(String(describing: error), status: status)
    }

    private static func status(of error: any Error) -> Int32? {
        switch error {
        case let error as ModelHubError: status(error.code)
        case let error as ModelFileError: status(error.code)
        case let error as ModelError: error.code == .outOfMemory ? nil : ExitStatus.dataError
        case let error as RuntimeError:
            [.notAModel, .noTokenizer, .chatTemplate].contains(error.code) ? ExitStatus.dataError : nil
        case let error as AdapterError: status(error.code)
        default: nil
        }
    }

    private static func status(_ code: ModelHubError.Code) -> Int32? {
        switch code {
        case .notFound, .badReference: ExitStatus.noInput
        case .corrupt, .unsupported: ExitStatus.dataError
        default: nil
        }
    }

    private static func status(_ code: ModelFileError.Code) -> Int32? {
        switch code {
        case .missing: ExitStatus.noInput
        case .unreadable, .notWritten: nil
        default: ExitStatus.dataError
        }
    }

    private static func status(_ code: AdapterError.Code) -> Int32? {
        switch code {
        case .notFound: ExitStatus.noInput
        case .invalidRequest, .invalidAdapter, .unsupported, .incompatible: ExitStatus.dataError
        case .unavailable, .cancelled, .outOfMemory: nil
        }
    }
}
