import HTTPServing
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingTensors

extension ReplicaService {
    /// Lets a request in, or says why not as OpenAI does.
    func enterOpenAI() throws(OpenAIError) -> Admission.Ticket {
        do throws(Admission.Refusal) {
            return try admission.enter()
        } catch {
            throw error == .full ? .overloaded : .shuttingDown
        }
    }

    func openAITexts() throws(OpenAIError) -> any TokenTexts {
        guard let texts = model.texts else { throw .server("This model has no tokenizer") }
        return texts
    }

    /// Tokens of a prompt or an input; an empty text is the beginning-of-sequence token where the model has one.
    func tokens(of input: PromptInput, field: String) throws(OpenAIError) -> [TokenID] {
        switch input {
        case .tokenIDs(let ids): return ids
        case .text(let text):
            if let count = tokenCount(ofFarTooLong: text) {
                throw OpenAIError(
                    .promptTooLong(promptTokenCount: count, contextLength: limits.maxTotalTokens), input: field)
            }
            do {
                return try model.promptTokens(text, addingSpecialTokens: true)
            } catch {
                throw .server("Tokenizing failed: \(error)")
            }
        }
    }

    func selection(_ fields: AdapterFields, _ bearer: String?) throws(OpenAIError) -> AdapterSelection? {
        do throws(AdapterFieldsError) {
            return try adapters.selection(fields, bearer: bearer)
        } catch {
            throw error.openAI
        }
    }

    func acquireOpenAI(
        _ selection: AdapterSelection?, _ presence: ClientPresence, _ record: inout RequestRecord
    ) async throws(OpenAIError) -> (any LeasedAdapter)? {
        do throws(AdapterError) {
            return try await acquire(selection, presence)
        } catch {
            record.failAdapter(error)
            var isMerge = false
            if case .merged = selection?.choice { isMerge = true }
            throw OpenAIError(error, id: selection?.name ?? "", isMerge: isMerge)
        }
    }
}
