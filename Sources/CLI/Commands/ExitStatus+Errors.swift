import ModelHub
import ServingAdapters
import ServingModelFiles
import ServingModels
import ServingRuntime

extension ExitStatus {
    /// The status for an error of the libraries below; nil for all others. Who starts a server knows by it whether to try
    /// again: what is missing or broken stays so, the rest may pass.
    static func of(_ error: any Error) -> Int32? {
        switch error {
        case let error as ModelHubError: of(error.code)
        case let error as ModelFileError: of(error.code)
        case let error as ModelError: error.code == .outOfMemory ? failed : dataError
        case let error as RuntimeError:
            [.notAModel, .noTokenizer, .chatTemplate].contains(error.code) ? dataError : failed
        case let error as AdapterError: of(error.code)
        default: nil
        }
    }

    private static func of(_ code: ModelHubError.Code) -> Int32 {
        switch code {
        case .notFound, .badReference: noInput
        case .corrupt, .unsupported: dataError
        case .unreachable: unreachable
        case .busy, .hubFailed: tryAgain
        default: failed
        }
    }

    private static func of(_ code: ModelFileError.Code) -> Int32 {
        switch code {
        case .missing: noInput
        case .unreadable, .notWritten: failed
        default: dataError
        }
    }

    private static func of(_ code: AdapterError.Code) -> Int32 {
        switch code {
        case .notFound: noInput
        case .invalidRequest, .invalidAdapter, .unsupported, .incompatible: dataError
        case .unavailable: unreachable
        case .cancelled, .outOfMemory: failed
        }
    }
}
