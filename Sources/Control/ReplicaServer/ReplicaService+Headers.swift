import HTTPServing
import HTTPTypes
import Hummingbird
import ServingAPI
import ServingAdapters

extension ReplicaService {
    /// Lets a request in, or says why not as LoRAX does.
    func enter() throws(NativeError) -> Admission.Ticket {
        do throws(Admission.Refusal) {
            return try admission.enter()
        } catch {
            throw error == .full ? .overloaded : .shuttingDown
        }
    }

    /// The credential of a request's header for hubs. Where the header holds this server's own key, it is none.
    func bearer(_ request: Request) -> String? {
        configuration.apiKey == nil ? request.bearerToken : nil
    }

    /// LoRAX's headers on how a finished answer's time was spent, in ms.
    func timingHeaders(_ record: RequestRecord, characterCount: Int) -> HTTPFields {
        let tokens = max(record.generatedTokenCount, 1)
        let total = record.total
        let first = record.timeToFirstToken ?? total
        var headers = HTTPFields()
        func set(_ name: String, _ value: Int) { headers[.custom(name)] = String(value) }
        headers[.custom("x-compute-type")] = computeType
        set("x-compute-time", total.milliseconds)
        set("x-compute-characters", characterCount)
        set("x-total-time", total.milliseconds)
        set("x-prompt-tokens", record.promptTokenCount)
        set("x-generated-tokens", record.generatedTokenCount)
        set("x-skipped-tokens", 0)
        set("x-total-tokens", record.promptTokenCount + record.generatedTokenCount)
        set("x-validation-time", record.validation.milliseconds)
        set("x-queue-time", record.queue.milliseconds)
        set("x-inference-time", record.inference.milliseconds)
        set("x-time-per-token", record.inference.milliseconds / tokens)
        set("x-time-to-first-token", first.milliseconds)
        set("x-time-per-output-token", (total - first).milliseconds / max(tokens - 1, 1))
        headers[.custom("x-model-id")] = model.name.headerValue
        return headers
    }

    /// LoRAX's headers of a stream.
    func streamHeaders(characterCount: Int) -> HTTPFields {
        var headers = HTTPFields()
        headers[.custom("x-compute-type")] = computeType
        headers[.custom("x-compute-characters")] = String(characterCount)
        headers[.custom("x-model-id")] = model.name.headerValue
        return headers
    }

    /// LoRAX's headers on the adapter; none for the base model.
    func adapterHeaders(_ selection: AdapterSelection?) -> HTTPFields {
        var headers = HTTPFields()
        guard let selection else { return headers }
        headers[.custom("x-adapter-id")] = selection.name.headerValue
        headers[.custom("x-adapter-source")] = selection.source.rawValue
        return headers
    }

    private var computeType: String { configuration.isLoRAXCompatible ? "gpu+optimized" : "cpu+optimized" }
}
