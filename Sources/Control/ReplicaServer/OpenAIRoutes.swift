import HTTPServing
import Hummingbird
import ServingAPI
import ServingAdapters
import ServingEngine
import ServingJSON
import ServingRuntime
import ServingTensors

/// OpenAI's routes that generate.
struct OpenAIRoutes: Sendable {
    let service: ReplicaService

    // MARK: Chat

    func chat(_ request: Request, _ context: ConnectionContext) async -> Response {
        await answer(request, context) { json, caller, record throws(OpenAIError) in
            let body = try ChatRequest(json)
            let ticket = try service.enterOpenAI()
            let texts = try service.openAITexts()
            try service.refuseFarTooLong(body.messages)
            var prompt = ChatPrompt(messages: body.messages)
            prompt.variables = body.templateVariables
            let ids: [TokenID]
            do {
                ids = try service.model.promptTokens(chat: prompt)
            } catch {
                throw .invalid("Failed applying chat template to messages: \(error)", param: "messages")
            }
            var generation = service.model.request(id: service.makeRequestID(), promptTokenIDs: ids)
            body.apply(to: &generation)
            let run = try await start(
                [generation], body.sampling, Asked(caller: caller, ticket: ticket, input: "messages"), &record)
            let response = ChatResponse(body, identity("chatcmpl-", body.sampling.model, caller), texts: texts)
            if body.sampling.isStream {
                return stream(run, record, response.stream(resuming: run.resumed, usage: run.usage))
            }
            let outputs = await collect(run, &record)
            return try finished(run, record, response.json(outputs.first ?? GenerationOutput()))
        }
    }

    // MARK: Completions

    func completions(_ request: Request, _ context: ConnectionContext) async -> Response {
        await answer(request, context) { json, caller, record throws(OpenAIError) in
            let body = try CompletionRequest(json)
            let ticket = try service.enterOpenAI()
            let texts = try service.openAITexts()
            var (generations, promptTexts): ([GenerationRequest], [String]) = ([], [])
            for input in body.prompts {
                let ids = try service.tokens(of: input, field: "prompt")
                var generation = service.model.request(id: service.makeRequestID(), promptTokenIDs: ids)
                body.apply(
                    to: &generation,
                    defaultMaxTokenCount: service.configuration.isLoRAXCompatible
                        ? nil : CompletionRequest.defaultMaxTokenCount)
                generations.append(generation)
                if body.echoesPrompt {
                    promptTexts.append(input.text ?? service.model.text(of: ids))
                }
            }
            let run = try await start(
                generations, body.sampling, Asked(caller: caller, ticket: ticket, input: "prompt"), &record)
            let response = CompletionResponse(
                body, identity("cmpl-", body.sampling.model, caller), promptTexts: promptTexts, texts: texts)
            if body.sampling.isStream {
                return stream(run, record, response.stream(resuming: run.resumed, usage: run.usage))
            }
            let outputs = await collect(run, &record)
            return try finished(run, record, response.json(outputs))
        }
    }

    // MARK: Both

    /// Who asks.
    private struct Caller: Sendable {
        var bearer: String?
        var presence: ClientPresence
        /// What a gateway adds; nil where it is none.
        var gateway: GatewayFields?
    }

    /// Who asks, and the place that the request takes.
    private struct Asked: Sendable {
        var caller: Caller
        var ticket: Admission.Ticket
        /// The field that the prompt came in.
        var input: String
    }

    /// Requests that the engine has taken: one a prompt, or one a choice where an answer is carried on.
    private struct Run: Sendable {
        /// Events, with the index of their prompt.
        var streams: [(promptIndex: Int, events: AsyncStream<GenerationEvent>)]
        /// Choices a prompt.
        var choiceCount: Int
        var asked: Asked
        var cancel: @Sendable () -> Void
        var selection: AdapterSelection?
        /// Code points of the prompts.
        var characterCount: Int
        /// What the choices cost that had ended before.
        var usage = OpenAIUsage()

        var resumed: ResumedAnswer? { asked.caller.gateway?.resumed }

        /// The events of all streams with their prompts' indices, as they come.
        private var merged: AsyncStream<(Int, GenerationEvent)> {
            let streams = streams
            return AsyncStream { continuation in
                let task = Task {
                    await withDiscardingTaskGroup { group in
                        for (index, stream) in streams {
                            group.addTask { for await event in stream { continuation.yield((index, event)) } }
                        }
                    }
                    continuation.finish()
                }
                continuation.onTermination = { _ in task.cancel() }
            }
        }

        /// Hands every event to `take`, with the index of its prompt; ends the requests when the client goes.
        func forEach<Failure: Error>(
            _ take: (Int, GenerationEvent) async throws(Failure) -> Void
        ) async throws(Failure) {
            try await asked.caller.presence.whileHere(onLeave: cancel) { () async throws(Failure) in
                if streams.count == 1 {
                    for await event in streams[0].events { try await take(streams[0].promptIndex, event) }
                } else {
                    for await (index, event) in merged { try await take(index, event) }
                }
            }
        }
    }

    private func answer(
        _ request: Request, _ context: ConnectionContext,
        _ body: (JSONValue, Caller, inout RequestRecord) async throws(OpenAIError) -> Response
    ) async -> Response {
        let json: JSONValue
        do throws(RequestBodyReader.Failure) {
            json = try await service.bodies.json(request)
        } catch {
            service.metrics.fail("bad_request")
            return error.openAI.response
        }
        var record = RequestRecord(service.metrics)
        var caller = Caller(bearer: service.bearer(request), presence: await context.presence())
        do throws(OpenAIError) {
            if request.isFromGateway {
                do throws(WireDecodingError) {
                    caller.gateway = try GatewayFields(json)
                } catch {
                    throw OpenAIError(error)
                }
            }
            return try await body(json, caller, &record)
        } catch {
            record.fail(error.failureLabel(caller.presence))
            return HTTPReply(error).response
        }
    }

    private func identity(_ prefix: String, _ model: String, _ caller: Caller) -> OpenAIIdentity {
        let name = model.isEmpty || model == AdapterResolver.baseModelAdapterID ? service.model.name : model
        let resumed = caller.gateway?.resumed
        return OpenAIIdentity(
            id: resumed?.id ?? prefix + RandomName.make(), created: resumed?.created ?? UnixTime.now(), model: name,
            fingerprint: "fp_pbctl_\(service.configuration.version)")
    }

    private func start(
        _ generations: [GenerationRequest], _ sampling: OpenAISampling, _ asked: Asked, _ record: inout RequestRecord
    ) async throws(OpenAIError) -> Run {
        let model = service.model
        let selection = try service.selection(sampling.adapter, asked.caller.bearer)
        var run = Run(
            streams: [], choiceCount: sampling.choiceCount, asked: asked, cancel: {}, selection: selection,
            characterCount: 0)
        let requests = try requests(generations, &run, isStream: sampling.isStream)
        record.resume(run.usage)
        // Before the adapter is fetched: a request that can't be makes room for nothing.
        for (_, request) in requests {
            do throws(SubmissionError) { try request.validate(limits: model.limits) } catch {
                throw OpenAIError(error, input: asked.input)
            }
        }
        let lease =
            requests.isEmpty ? nil : try await service.acquireOpenAI(selection, asked.caller.presence, &record)
        record.useAdapter(lease)
        for (promptIndex, request) in requests {
            var request = request
            lease?.apply(to: &request)
            do throws(SubmissionError) {
                run.streams.append((promptIndex, try model.submit(request)))
            } catch {
                throw OpenAIError(error, input: asked.input)
            }
            record.submit(request, contextLength: model.limits.contextLength)
        }
        let ids = requests.map(\.request.id)
        run.cancel = { for id in ids { model.cancel(id) } }
        run.characterCount = generations.reduce(0) { $0 + model.text(of: $1.promptTokenIDs).unicodeScalars.count }
        return run
    }

    /// The engine's requests with the indices of their prompts: the given ones, or what is left of them.
    private func requests(
        _ generations: [GenerationRequest], _ run: inout Run, isStream: Bool
    ) throws(OpenAIError) -> [(promptIndex: Int, request: GenerationRequest)] {
        var generations = generations
        for index in generations.indices { run.asked.caller.gateway?.apply(to: &generations[index]) }
        guard let resumed = run.resumed else { return generations.enumerated().map { ($0, $1) } }
        guard isStream else { throw .invalid("An answer in one piece can't be resumed", param: "pbctl.resume") }
        if let stray = resumed.strayChoice(count: generations.count * run.choiceCount) {
            throw .invalid("The answer has no choice \(stray)", param: "pbctl.resume.choices")
        }
        run.usage = resumed.usage(
            promptTokenCounts: generations.map(\.promptTokenIDs.count), choiceCount: run.choiceCount)
        return generations.enumerated().flatMap { index, generation in
            resumed.requests(generation, promptIndex: index, makeID: service.makeRequestID).map { (index, $0) }
        }
    }

    private func collect(_ run: Run, _ record: inout RequestRecord) async -> [GenerationOutput] {
        var outputs = [GenerationOutput](repeating: GenerationOutput(), count: run.streams.count)
        await run.forEach { index, event in
            record.add(event)
            outputs[index].add(event)
        }
        return outputs
    }

    private func finished(_ run: Run, _ record: RequestRecord, _ json: JSONBytes) -> Response {
        defer { withExtendedLifetime(run.asked.ticket) {} }
        record.succeed()
        var reply = HTTPReply.json(json)
        reply.headers.append(contentsOf: service.timingHeaders(record, characterCount: run.characterCount))
        reply.headers.append(contentsOf: service.adapterHeaders(run.selection))
        return reply.response
    }

    private func stream(_ run: Run, _ record: RequestRecord, _ shape: some EventShaping) -> Response {
        var headers = service.streamHeaders(characterCount: run.characterCount)
        headers.append(contentsOf: service.adapterHeaders(run.selection))
        return HTTPReply.events(headers) { writer in
            var (record, shape) = (record, shape)
            var writer = AnswerWriter(writer, isAnnotated: run.asked.caller.gateway != nil)
            do {
                defer { withExtendedLifetime(run.asked.ticket) {} }
                try await run.forEach { index, event in
                    record.add(event, of: run.resumed, promptIndex: index, choiceCount: run.choiceCount)
                    try await writer.write(shape.frames(event, promptIndex: index))
                }
                try await writer.write(shape.endFrames(), ending: record)
                record.succeed()
            } catch let error as OpenAIError {
                record.fail(error.failureLabel(run.asked.caller.presence))
                try await writer.write(error)
            } catch {
                record.fail("dropped")
                throw error
            }
        }
    }
}

extension OpenAIError {
    /// LoRAX's word for it in metrics.
    func failureLabel(_ presence: ClientPresence) -> String {
        if presence.isGone { return "dropped" }
        switch status {
        case 429: return "overloaded"
        case 503: return "shutting_down"
        case 500..<600: return "generation"
        default: return "validation"
        }
    }
}
