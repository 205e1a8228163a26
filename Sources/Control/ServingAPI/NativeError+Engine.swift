package import HTTPServing
package import ServingAdapters
package import ServingEngine

extension NativeError {
    /// An adapter that can't be used.
    package init(_ error: AdapterError) { self = .generation("Server error: \(error.message)") }

    /// A request that the engine refuses.
    package init(_ error: SubmissionError) {
        switch error {
        case .queueFull: self = .overloaded
        case .shuttingDown: self = .shuttingDown
        case .emptyPrompt: self = .validation("`inputs` cannot be empty")
        case .invalidParameter(let error):
            let name = nativeNames[error.field] ?? OpenAIError.wireNames[error.field] ?? error.field
            self = .validation("`\(name)` must be \(error.expected). Given: \(error.value)")
        default: self = .validation(error.description)
        }
    }
}

/// LoRAX's names of the engine's fields, where they are others than OpenAI's.
private let nativeNames = [
    "logProbabilityCount": "return_k_alternatives", "sampleCount": "best_of", "maxTokenCount": "max_new_tokens",
]
