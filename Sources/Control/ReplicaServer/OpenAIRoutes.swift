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
        await answer(request, context) { json, bearer, presence, record throws(OpenAIError) in
            let body = try ChatRequest(json)
            let ticket = try service.enterOpenAI()
            let texts = try service.openAITexts()
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
                [generation], body.sampling,
                Asked(bearer: bearer, presence: presence, ticket: ticket, input: "messages"), &record)
            let response = ChatResponse(body, identity("chatcmpl-", body.sampling.model), texts: texts)
            if body.sampling.isStream {
                return stream(run, record, response.stream())
            }
            let outputs = await collect(run, &record)
            return try finished(run, record, response.json(outputs.first ?? GenerationOutput()))
        }
    }

    // MARK: Completions

    func completions(_ request: Request, _ context: ConnectionContext) async -> Response {
        await answer(request, context) { json, bearer, presence, record throws(OpenAIError) in
            let body = try CompletionRequest(json)
            let ticket = try service.enterOpenAI()
            let texts = try service.openAITexts()
            var (generations, promptTexts): ([GenerationRequest], [String]) = ([], [])
            for input in body.prompts {
                let ids = try service.tokens(of: input)
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
                generations, body.sampling,
                Asked(bearer: bearer, presence: presence, ticket: ticket, input: "prompt"), &record)
            let response = CompletionResponse(
                body, identity("cmpl-", body.sampling.model), promptTexts: promptTexts, texts: texts)
            if body.sampling.isStream {
                return stream(run, record, response.stream())
            }
            let outputs = await collect(run, &record)
            return try finished(run, record, response.json(outputs))
        }
    }

    // MARK: Both

    /// Who asks, and the place that the request takes.
    private struct Asked: Sendable {
        var bearer: String?
        var presence: ClientPresence
        var ticket: Admission.Ticket
        /// The field that the prompt came in.
        var input: String
    }

    /// Requests that the engine has taken, one a prompt.
    private struct Run: Sendable {
        var streams: [AsyncStream<GenerationEvent>]
        var asked: Asked
        var cancel: @Sendable () -> Void
        var selection: AdapterSelection?
        /// Code points of the prompts.
        var characterCount: Int

        /// The events of all prompts with the prompts' indices, as they come.
        var events: AsyncStream<(Int, GenerationEvent)> {
            let streams = streams
            return AsyncStream { continuation in
                let task = Task {
                    await withDiscardingTaskGroup { group in
                        for (index, stream) in streams.enumerated() {
                            group.addTask { for await event in stream { continuation.yield((index, event)) } }
                        }
                    }
                    continuation.finish()
                }
                continuation.onTermination = { _ in task.cancel() }
            }
        }
    }

    private func answer(
        _ request: Request, _ context: ConnectionContext,
        _ body: (JSONValue, String?, ClientPresence, inout RequestRecord) async throws(OpenAIError) -> Response
    ) async -> Response {
        let json: JSONValue
        do throws(RequestBodyReader.Failure) {
            json = try await service.bodies.json(request)
        } catch {
            service.metrics.fail("bad_request")
            return error.openAI.response
        }
        var record = RequestRecord(service.metrics)
        let presence = await context.presence()
        do throws(OpenAIError) {
            return try await body(json, service.bearer(request), presence, &record)
        } catch {
            record.fail(error.failureLabel(presence))
            return HTTPReply(error).response
        }
    }

    private func identity(_ prefix: String, _ model: String) -> OpenAIIdentity {
        let name = model.isEmpty || model == AdapterResolver.baseModelAdapterID ? service.model.name : model
        return OpenAIIdentity(
            id: prefix + RandomName.make(), created: UnixTime.now(), model: name,
            fingerprint: "fp_pbctl_\(service.configuration.version)")
    }

    private func start(
        _ generations: [GenerationRequest], _ sampling: OpenAISampling, _ asked: Asked, _ record: inout RequestRecord
    ) async throws(OpenAIError) -> Run {
        let model = service.model
        let selection = try service.selection(sampling.adapter, asked.bearer)
        // Before the adapter is fetched: a request that can't be makes room for nothing.
        for generation in generations {
            do throws(SubmissionError) { try generation.validate(limits: model.limits) } catch {
                throw OpenAIError(error, input: asked.input)
            }
        }
        let lease = try await service.acquireOpenAI(selection, asked.presence)
        record.useAdapter(lease)
        var streams: [AsyncStream<GenerationEvent>] = []
        for var generation in generations {
            lease?.apply(to: &generation)
            do throws(SubmissionError) {
                streams.append(try model.submit(generation))
            } catch {
                throw OpenAIError(error, input: asked.input)
            }
            record.submit(generation, contextLength: model.limits.contextLength)
        }
        let ids = generations.map(\.id)
        let characterCount = generations.reduce(0) { $0 + model.text(of: $1.promptTokenIDs).unicodeScalars.count }
        return Run(
            streams: streams, asked: asked, cancel: { for id in ids { model.cancel(id) } }, selection: selection,
            characterCount: characterCount)
    }

    private func collect(_ run: Run, _ record: inout RequestRecord) async -> [GenerationOutput] {
        var outputs = [GenerationOutput](repeating: GenerationOutput(), count: run.streams.count)
        await run.asked.presence.whileHere(onLeave: run.cancel) {
            if run.streams.count == 1 {
                for await event in run.streams[0] {
                    record.add(event)
                    outputs[0].add(event)
                }
            } else {
                for await (index, event) in run.events {
                    record.add(event)
                    outputs[index].add(event)
                }
            }
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
            do {
                defer { withExtendedLifetime(run.asked.ticket) {} }
                try await run.asked.presence.whileHere(onLeave: run.cancel) {
                    if run.streams.count == 1 {
                        for await event in run.streams[0] {
                            record.add(event)
                            try await writer.write(shape.bytes(event, promptIndex: 0))
                        }
                    } else {
                        for await (index, event) in run.events {
                            record.add(event)
                            try await writer.write(shape.bytes(event, promptIndex: index))
                        }
                    }
                }
                try await writer.write(shape.end())
                record.succeed()
            } catch let error as OpenAIError {
                record.fail(error.failureLabel(run.asked.presence))
                try await writer.write(EventStream.frame(error))
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
