import HTTPServing
import Hummingbird
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingTensors

/// `/embed` and `/v1/embeddings`.
struct EmbeddingRoutes: Sendable {
    let service: ReplicaService

    /// LoRAX's.
    func embed(_ request: Request, _ context: ConnectionContext) async -> Response {
        let body: NativeEmbedRequest
        do {
            body = try await NativeRoutes.decode(service.bodies.json(request)) { value throws(WireDecodingError) in
                try NativeEmbedRequest(value)
            }
        } catch {
            service.metrics.fail("bad_request")
            return error.native.response
        }
        let bearer = service.bearer(request)
        let presence = await context.presence()
        var record = RequestRecord(service.metrics)
        do throws(NativeError) {
            let vector = try await native(body, bearer, presence, &record)
            var reply = HTTPReply.json(EmbeddingResponse.nativeJSON(vector))
            reply.headers.append(
                contentsOf: service.timingHeaders(record, characterCount: body.inputs.unicodeScalars.count))
            record.succeed()
            return reply.response
        } catch {
            record.fail(error.failureLabel(presence))
            return HTTPReply(error).response
        }
    }

    private func native(
        _ body: NativeEmbedRequest, _ bearer: String?, _ presence: ClientPresence, _ record: inout RequestRecord
    ) async throws(NativeError) -> [Float] {
        let ticket = try service.enter()
        defer { withExtendedLifetime(ticket) {} }
        let selection: AdapterSelection?
        do throws(AdapterFieldsError) {
            selection = try service.adapters.selection(body.adapter, bearer: bearer)
        } catch {
            throw error.native
        }
        guard !body.inputs.isEmpty else { throw .validation("`inputs` cannot be empty") }
        try service.refuseFarTooLong(body.inputs)
        let ids: [TokenID]
        do {
            ids = try service.model.promptTokens(body.inputs, addingSpecialTokens: true)
        } catch {
            throw .validation("tokenizer error \(error)")
        }
        guard ids.count <= service.limits.maxInputLength else {
            throw .validation(
                "`inputs` must have less than \(service.limits.maxInputLength) tokens. Given: \(ids.count)")
        }
        let lease: (any LeasedAdapter)?
        do throws(AdapterError) {
            lease = try await service.acquire(selection, presence)
        } catch {
            record.failAdapter(error)
            throw NativeError(error)
        }
        record.useAdapter(lease)
        do {
            return try await vector(ids, lease, presence)
        } catch let error as SubmissionError {
            throw NativeError(error)
        } catch {
            throw .embedding("\(error)")
        }
    }

    /// Inputs of one request that are computed together.
    private static let windowCount = 32

    private func vectors(
        _ inputs: [[TokenID]], _ lease: (any LeasedAdapter)?, _ presence: ClientPresence
    ) async throws -> [[Float]] {
        try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
            for (index, ids) in inputs.enumerated() {
                group.addTask { (index, try await vector(ids, lease, presence)) }
            }
            var vectors = [[Float]](repeating: [], count: inputs.count)
            for try await (index, vector) in group { vectors[index] = vector }
            return vectors
        }
    }

    private func vector(
        _ ids: [TokenID], _ lease: (any LeasedAdapter)?, _ presence: ClientPresence
    ) async throws -> [Float] {
        let model = service.model
        return try await presence.cancelling { () async throws -> [Float] in
            try await model.embedding(of: ids, adapter: lease)
        }
    }

    /// OpenAI's.
    func embeddings(_ request: Request, _ context: ConnectionContext) async -> Response {
        var record = RequestRecord(service.metrics)
        let presence = await context.presence()
        do {
            let body = try EmbeddingRequest(await service.bodies.json(request))
            let answer = try await openAI(body, service.bearer(request), presence, &record)
            record.succeed()
            return HTTPReply.json(answer.json).response
        } catch let failure as RequestBodyReader.Failure {
            record.fail("bad_request")
            return failure.openAI.response
        } catch let error as OpenAIError {
            record.fail(error.failureLabel(presence))
            return HTTPReply(error).response
        } catch {
            record.fail("embedding_failure")
            return HTTPReply(OpenAIError.server("Embedding failed: \(error)")).response
        }
    }

    private func openAI(
        _ body: EmbeddingRequest, _ bearer: String?, _ presence: ClientPresence, _ record: inout RequestRecord
    ) async throws -> EmbeddingResponse {
        let ticket = try service.enterOpenAI()
        defer { withExtendedLifetime(ticket) {} }
        let selection = try service.selection(body.adapter, bearer)
        let inputs = try body.inputs.map { input in
            let ids = try service.tokens(of: input, field: "input")
            guard !ids.isEmpty else { throw OpenAIError.invalid("input can't be empty", param: "input") }
            guard ids.count <= service.limits.maxInputLength else {
                throw OpenAIError.invalid(
                    "This model's maximum context length is \(service.limits.maxTotalTokens) tokens. However, your input "
                        + "has \(ids.count) tokens. Please reduce its length.",
                    param: "input", code: "context_length_exceeded")
            }
            return ids
        }
        let lease = try await service.acquireOpenAI(selection, presence, &record)
        record.useAdapter(lease)
        var vectors: [[Float]] = []
        // Some at a time, so that the engine has a batch and the queue room for others.
        for start in stride(from: 0, to: inputs.count, by: Self.windowCount) {
            let window = inputs[start..<min(start + Self.windowCount, inputs.count)]
            do {
                vectors += try await self.vectors(Array(window), lease, presence)
            } catch let error as SubmissionError {
                throw OpenAIError(error, input: "input")
            }
            if let wanted = body.dimensionCount, let count = vectors.first?.count, wanted != count {
                throw OpenAIError.invalid(
                    "This model gives embeddings of \(count) dimensions, not \(wanted)", param: "dimensions")
            }
        }
        return EmbeddingResponse(
            vectors: vectors, encoding: body.encoding, model: body.model.isEmpty ? service.model.name : body.model,
            tokenCount: inputs.reduce(0) { $0 + $1.count })
    }
}
