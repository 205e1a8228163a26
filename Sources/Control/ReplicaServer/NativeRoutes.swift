import HTTPServing
import HTTPTypes
import Hummingbird
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingJSON
import ServingTensors

/// LoRAX's own routes that generate.
struct NativeRoutes: Sendable {
    let service: ReplicaService

    /// How the answer of a finished request is wrapped.
    enum Form: Sendable {
        /// `/generate`
        case object
        /// `/` and `/invocations`: a list of one, or a stream where the body asks for it.
        case compatible
        /// `/generate_stream`
        case stream
    }

    func generate(_ request: Request, _ context: ConnectionContext, _ form: Form) async -> Response {
        let body: NativeGenerateRequest
        var gateway: GatewayFields?
        do {
            let json = try await service.bodies.json(request)
            body = try Self.decode(json) { value throws(WireDecodingError) in try NativeGenerateRequest(value) }
            if request.isFromGateway {
                gateway = try Self.decode(json) { value throws(WireDecodingError) in try GatewayFields(value) }
            }
        } catch {
            service.metrics.fail("bad_request")
            return error.native.response
        }
        let caller = Caller(bearer: service.bearer(request), presence: await context.presence(), gateway: gateway)
        if form == .stream || form == .compatible && body.stream {
            return stream(body, caller)
        }
        return await finished(body, caller, isList: form == .compatible)
    }

    /// Who asks.
    private struct Caller: Sendable {
        var bearer: String?
        var presence: ClientPresence
        /// What a gateway adds; nil where it is none.
        var gateway: GatewayFields?
    }

    /// Reads a value as a request, in axum's words where it can't be one.
    static func decode<Value>(
        _ json: JSONValue, _ read: (JSONValue) throws(WireDecodingError) -> Value
    ) throws(RequestBodyReader.Failure) -> Value {
        do throws(WireDecodingError) {
            return try read(json)
        } catch {
            throw RequestBodyReader.Failure(
                status: 422, message: "Failed to deserialize the JSON body into the target type: \(error)")
        }
    }

    // MARK: In one piece

    private func finished(
        _ body: NativeGenerateRequest, _ caller: Caller, isList: Bool
    ) async -> Response {
        var record = RequestRecord(service.metrics)
        do throws(NativeError) {
            let ticket = try service.enter()
            defer { withExtendedLifetime(ticket) {} }
            let run = try await start(body, caller, &record, isStream: false)
            var output = GenerationOutput()
            await caller.presence.whileHere(onLeave: run.cancel) {
                for await event in run.events {
                    record.add(event)
                    output.add(event)
                }
            }
            let answer = try NativeResponse(body.parameters, prompt: run.prompt, texts: run.texts).json(output)
            var json = answer
            if isList {
                json = JSONBytes(capacity: answer.bytes.count + 2)
                json.openArray()
                json.raw(answer.bytes)
                json.closeArray()
            }
            var reply = HTTPReply.json(json)
            reply.headers.append(
                contentsOf: service.timingHeaders(record, characterCount: run.prompt.unicodeScalars.count))
            reply.headers.append(contentsOf: service.adapterHeaders(run.selection))
            record.succeed()
            return reply.response
        } catch {
            record.fail(error.failureLabel(caller.presence))
            return HTTPReply(error).response
        }
    }

    // MARK: As events

    /// Validation runs inside the stream, as LoRAX's does: its errors come as events with status 200.
    private func stream(_ body: NativeGenerateRequest, _ caller: Caller) -> Response {
        var headers = service.streamHeaders(characterCount: body.inputs.unicodeScalars.count)
        if let selection = try? service.adapters.selection(body.parameters.adapter, bearer: caller.bearer) {
            headers.append(contentsOf: service.adapterHeaders(selection))
        }
        // Let in before the head goes out: a stream that has begun is finished, also when the server is told to stop.
        let entrance = Result { () throws(NativeError) in try service.enter() }
        return HTTPReply.events(headers) { writer in
            var record = RequestRecord(service.metrics)
            var writer = AnswerWriter(writer, isAnnotated: caller.gateway != nil)
            let resumed = caller.gateway?.resumed
            // The client has the whole answer.
            if resumed?.choices[0]?.isFinished == true { return record.succeed() }
            do {
                let ticket = try entrance.get()
                defer { withExtendedLifetime(ticket) {} }
                let run = try await start(body, caller, &record, isStream: true)
                var shape = NativeResponse(body.parameters, prompt: run.prompt, texts: run.texts)
                    .stream(resuming: resumed)
                try await caller.presence.whileHere(onLeave: run.cancel) {
                    for await event in run.events {
                        record.add(event, of: resumed)
                        guard let frame = try shape.frame(event) else { continue }
                        try await writer.write([frame], ending: frame.isFinished ? record : nil)
                    }
                }
                record.succeed()
            } catch let error as NativeError {
                record.fail(error.failureLabel(caller.presence))
                try await writer.write(error)
            } catch {
                record.fail("dropped")
                throw error
            }
        }
    }

    // MARK: Start

    /// A request that the engine has taken.
    struct Run: Sendable {
        var events: AsyncStream<GenerationEvent>
        var cancel: @Sendable () -> Void
        var prompt: String
        var texts: any TokenTexts
        var selection: AdapterSelection?
    }

    private func start(
        _ body: NativeGenerateRequest, _ caller: Caller, _ record: inout RequestRecord, isStream: Bool
    ) async throws(NativeError) -> Run {
        let (parameters, model) = (body.parameters, service.model)
        let selection: AdapterSelection?
        do throws(AdapterFieldsError) {
            selection = try service.adapters.selection(parameters.adapter, bearer: caller.bearer)
        } catch {
            throw error.native
        }
        try parameters.validate(service.limits, isStream: isStream)
        let (ids, texts) = try promptTokens(body)
        try parameters.validate(inputTokenCount: ids.count, service.limits)
        var request = model.request(id: service.makeRequestID(), promptTokenIDs: ids)
        parameters.apply(to: &request, isStream: isStream)
        caller.gateway?.apply(to: &request)
        if let resumed = caller.gateway?.resumed {
            guard isStream, resumed.strayChoice(count: 1) == nil else {
                throw .validation("`pbctl.resume` is for the one choice of a stream")
            }
            guard let rest = resumed.requests(request, promptIndex: 0, makeID: { request.id }).first else {
                throw .incomplete
            }
            request = rest
        }
        let lease = try await acquire(selection, caller.presence, &record)
        lease?.apply(to: &request)
        record.useAdapter(lease)
        let events = try submit(request)
        record.submit(request, contextLength: model.limits.contextLength)
        let id = request.id
        return Run(
            events: events, cancel: { model.cancel(id) }, prompt: body.inputs, texts: texts, selection: selection)
    }

    private func promptTokens(_ body: NativeGenerateRequest) throws(NativeError) -> ([Int32], any TokenTexts) {
        guard !body.inputs.isEmpty else { throw .validation("`inputs` cannot be empty") }
        guard let texts = service.model.texts else { throw .noTokenizer }
        // What `truncate` cuts off is not refused.
        if body.parameters.truncate == nil || service.configuration.isLoRAXCompatible {
            try service.refuseFarTooLong(body.inputs)
        }
        var ids: [Int32]
        do {
            ids = try service.model.promptTokens(body.inputs, addingSpecialTokens: true)
        } catch {
            throw .validation("tokenizer error \(error)")
        }
        // LoRAX documents `truncate` and does nothing.
        if let truncate = body.parameters.truncate, ids.count > truncate, !service.configuration.isLoRAXCompatible {
            // The tokens that the tokenizer puts in front stay there.
            let plain = (try? service.model.promptTokens(body.inputs, addingSpecialTokens: false)) ?? ids
            let front = ids.prefix(min(truncate, max(0, ids.count - plain.count)))
            ids = front + ids.suffix(truncate - front.count)
        }
        return (ids, texts)
    }

    private func acquire(
        _ selection: AdapterSelection?, _ presence: ClientPresence, _ record: inout RequestRecord
    ) async throws(NativeError) -> (any LeasedAdapter)? {
        do throws(AdapterError) {
            return try await service.acquire(selection, presence)
        } catch {
            record.failAdapter(error)
            throw NativeError(error)
        }
    }

    private func submit(_ request: GenerationRequest) throws(NativeError) -> AsyncStream<GenerationEvent> {
        do throws(SubmissionError) {
            return try service.model.submit(request)
        } catch {
            throw NativeError(error)
        }
    }
}

extension NativeError {
    /// LoRAX's word for it in metrics.
    func failureLabel(_ presence: ClientPresence) -> String {
        if presence.isGone { return "dropped" }
        switch kind {
        case .incompleteGeneration: return "incomplete"
        case .template: return "template"
        case .embedding: return "embedding_failure"
        default: return kind.rawValue
        }
    }
}
