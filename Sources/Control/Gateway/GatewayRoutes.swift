import Deployments
package import HTTPServing
import HTTPTypes
package import Hummingbird
import HummingbirdCore
import NIOCore
import NIOHTTP1
import ServingJSON

/// The gateway's routes: answers what is asked of deployments, and leaves the rest to others.
package struct GatewayRoutes: Sendable {
    private let service: GatewayService
    private let information: GatewayInformation

    init(_ service: GatewayService) {
        self.service = service
        information = GatewayInformation(service: service)
    }

    /// Answers a request; nil where the path is none of the gateway's.
    package func respond(to request: Request, context: ConnectionContext) async -> Response? {
        let startedAt = ContinuousClock.now
        let isRead = request.method == .get || request.method == .head
        guard let path = GatewayPath(request.uri.path, isRead: isRead) else { return nil }
        if let response = CrossOrigin.preflight(request) { return response }
        return CrossOrigin.opened(await route(request, path, context, startedAt), to: request)
    }

    /// The answer to a browser's question before a request for one of the gateway's paths; nil for any other request.
    package func preflight(_ request: Request) -> Response? {
        guard let response = CrossOrigin.preflight(request),
            GatewayPath(request.uri.path, isRead: false) ?? GatewayPath(request.uri.path, isRead: true) != nil
        else { return nil }
        return response
    }

    private func route(
        _ request: Request, _ path: GatewayPath, _ context: ConnectionContext, _ startedAt: ContinuousClock.Instant
    ) async -> Response {
        let (name, found): (String?, GatewayEndpoint?) =
            switch path {
            case .shared(let endpoint): (nil, endpoint)
            case .deployment(let name, let endpoint): (name, endpoint)
            }
        guard let endpoint = found else {
            let form: GatewayEndpoint.Form = request.uri.path.contains("/v1/") ? .openAI : .native
            return GatewayError.notFound(request.uri.path).reply(form).response
        }
        let requestID = ProxiedHeaders.requestID(request.headers)
        let isAllowed = endpoint.isRead ? request.method == .get || request.method == .head : request.method == .post
        var response: Response
        if !isAllowed {
            var reply = HTTPReply(405)
            reply.headers[.allow] = endpoint.isRead ? "GET" : "POST"
            response = reply.response
        } else if endpoint.isRead {
            response = await information.answer(endpoint, name, request)
        } else {
            response = await post(request, endpoint, name, context, requestID, startedAt)
        }
        response.headers[.requestID] = requestID
        return response
    }

    // MARK: Requests for replicas

    private func post(
        _ request: Request, _ endpoint: GatewayEndpoint, _ name: String?, _ context: ConnectionContext,
        _ requestID: String, _ startedAt: ContinuousClock.Instant
    ) async -> Response {
        let presence = await context.presence()
        let asked: Asked
        do throws(GatewayError) {
            // A deployment that is not there needs no body.
            if let name { _ = try service.dispatch(name) }
            let ticket = try service.enter()
            let body = try await self.body(request, endpoint)
            asked = Asked(
                body: body, ticket: ticket, requestID: requestID, startedAt: startedAt, fields: request.headers)
        } catch {
            return error.reply(endpoint.form).response
        }
        return await presence.cancelling {
            do throws(GatewayError) {
                return try await answer(asked, endpoint, name, presence)
            } catch {
                return error.reply(endpoint.form).response
            }
        }
    }

    /// A request that was read.
    private struct Asked: Sendable {
        var body: GatewayRequest
        var ticket: Admission.Ticket
        var requestID: String
        var startedAt: ContinuousClock.Instant
        var fields: HTTPFields
    }

    /// Bodies from so many bytes on take a while to read.
    private static let largeBodyBytes = 64 << 10

    private func body(_ request: Request, _ endpoint: GatewayEndpoint) async throws(GatewayError) -> GatewayRequest {
        let (bytes, json): (ByteBuffer, JSONValue)
        do throws(RequestBodyReader.Failure) {
            let read = try await service.bodies.bytes(request)
            bytes = read
            if read.readableBytes < Self.largeBodyBytes {
                json = try service.bodies.json(read)
            } else {
                // Parsing takes milliseconds: not on the loop.
                json = try await withTaskExecutorPreference(globalConcurrentExecutor) {
                    () async throws(RequestBodyReader.Failure) in try service.bodies.json(read)
                }
            }
        } catch {
            throw GatewayError(
                error.status, error.message, type: "invalid_request_error", nativeType: "validation")
        }
        return try GatewayRequest(endpoint, bytes, json)
    }

    private func answer(
        _ asked: Asked, _ endpoint: GatewayEndpoint, _ name: String?, _ presence: ClientPresence
    ) async throws(GatewayError) -> Response {
        let job = try job(asked, endpoint, name)
        let tellsProgress = asked.body.isStream && asked.fields[.progress] == "1"
        if tellsProgress { return stream(job, nil, presence, tellsProgress: true) }
        let answer: GatewayJob.Answer
        do throws(GatewayError) {
            answer = try await job.answer()
        } catch {
            job.record.end(error)
            throw error
        }
        guard case .whole(let bytes) = answer.body else {
            return stream(job, answer, presence, tellsProgress: false)
        }
        return whole(job, answer, bytes)
    }

    /// What it takes to have a request answered.
    private func job(_ asked: Asked, _ endpoint: GatewayEndpoint, _ name: String?) throws(GatewayError) -> GatewayJob {
        let (dispatch, adapter, replicaModel) = try target(asked.body, name)
        let timeout = try queueTimeout(asked.fields)
        let record = GatewayRecord(
            dispatch.name, adapter: adapter, startedAt: asked.startedAt, ticket: asked.ticket,
            metrics: service.metrics, clock: service.clock, sink: service.sample)
        var headers = ProxiedHeaders.request(
            asked.fields, requestID: asked.requestID, passesAuthorization: service.configuration.passesAuthorization)
        if endpoint.generates { headers.add(name: "x-pbctl-gateway", value: "1") }
        let call = ReplicaCall(
            method: .POST, path: endpoint.replicaPath, headers: headers, body: asked.body.body(model: replicaModel))
        return GatewayJob(
            service: service, dispatch: dispatch, call: call,
            demand: DispatchStateMachine.Demand(
                tokenCount: asked.body.tokenCount, keys: asked.body.keys(adapter: adapter)),
            promptTokenCount: asked.body.promptTokenCount, record: record, requestID: asked.requestID,
            form: endpoint.form, timeout: timeout,
            model: replicaModel == nil ? nil : asked.body.model.map(Self.json),
            // Less than what JSON numbers hold exactly everywhere.
            seed: endpoint.generates ? Int64.random(in: 0..<1 << 53) : nil)
    }

    /// The deployment and adapter that a request is for, and the model to ask replicas for; nil leaves it as it is.
    private func target(
        _ body: GatewayRequest, _ name: String?
    ) throws(GatewayError) -> (DeploymentDispatch, adapter: String?, model: String?) {
        if body.endpoint.form == .native {
            let (dispatch, route) = try service.dispatch(name ?? "")
            let adapter = body.nativeAdapter.flatMap { $0 == route.baseModel ? nil : $0 }
            guard adapter == nil || route.allowsAdapters else { throw .adaptersDisabled(route.name) }
            return (dispatch, adapter, nil)
        }
        let model = body.model ?? ""
        guard name != nil || !model.isEmpty else {
            throw .invalid("you must provide a model: the name of a deployment, or deployment:adapter", param: "model")
        }
        let (dispatch, route) = try service.dispatch(
            name ?? ModelSelector(shared: model).deployment, model: name == nil ? model : nil)
        let selector =
            name == nil
            ? ModelSelector(shared: model)
            : ModelSelector(model: model, within: route.name.text, baseModel: route.baseModel)
        guard selector.adapter == nil || route.allowsAdapters else { throw .adaptersDisabled(route.name) }
        // Nothing to put another name for.
        return (dispatch, selector.adapter, model.isEmpty ? nil : selector.adapter ?? "")
    }

    private func queueTimeout(_ fields: HTTPFields) throws(GatewayError) -> Duration {
        guard let text = fields[.queueTimeout] else { return service.configuration.queueTimeout }
        guard let seconds = Double(text), seconds >= 0, seconds.isFinite else {
            throw .invalid("x-pbctl-queue-timeout must be a number of seconds, not \"\(text.prefix(40))\"")
        }
        return min(.seconds(min(seconds, 1e9)), service.configuration.queueTimeout)
    }

    private static func json(_ text: String) -> [UInt8] {
        var json = JSONBytes()
        json.string(text)
        return json.bytes
    }

    // MARK: Answers

    private func whole(_ job: GatewayJob, _ answer: GatewayJob.Answer, _ bytes: ByteBuffer) -> Response {
        let receivedAt = ContinuousClock.now
        let headers = answer.headers
        func number(_ name: String) -> Double? { headers.first(name: name).flatMap(Double.init) }
        func count(_ name: String) -> Int { number(name).flatMap { Int(exactly: $0.rounded()) } ?? 0 }
        if let inference = number("x-inference-time") {
            job.record.time(
                queue: .milliseconds(number("x-queue-time") ?? 0), inference: .milliseconds(inference),
                promptTokenCount: count("x-prompt-tokens"), generatedTokenCount: count("x-generated-tokens"))
        }
        let response = Response(
            status: HTTPResponse.Status(code: answer.status),
            headers: ProxiedHeaders.answer(headers, requestID: job.requestID),
            body: ResponseBody(byteBuffer: job.model.map { Self.renamed(bytes, $0) } ?? bytes))
        job.record.hold(.now - receivedAt)
        job.record.end(status: answer.status)
        return response
    }

    /// An answer with the model that the client knows.
    private static func renamed(_ bytes: ByteBuffer, _ model: [UInt8]) -> ByteBuffer {
        guard let place = bytes.withUnsafeReadableBytes({ JSONMembers.firstValue("model", in: $0) }) else {
            return bytes
        }
        var source = bytes
        var result = ByteBuffer()
        result.reserveCapacity(bytes.readableBytes + model.count)
        if let front = source.readSlice(length: place.lowerBound) { result.writeImmutableBuffer(front) }
        result.writeBytes(model)
        source.moveReaderIndex(forwardBy: place.count)
        result.writeImmutableBuffer(source)
        return result
    }

    private func stream(
        _ job: GatewayJob, _ answer: GatewayJob.Answer?, _ presence: ClientPresence, tellsProgress: Bool
    ) -> Response {
        var headers = HTTPFields()
        if let answer {
            headers = ProxiedHeaders.answer(answer.headers, requestID: job.requestID)
        }
        headers[.contentType] = "text/event-stream"
        headers[.cacheControl] = "no-cache"
        headers[.accelBuffering] = "no"
        let relay = StreamRelay(job: job, tellsProgress: tellsProgress)
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { body in
                let writer = ClientWriter(body)
                try await presence.cancelling { try await relay.run(answer, writer) }
            })
    }
}

extension Duration {
    /// Milliseconds as replicas tell them; anything that is none is zero.
    static func milliseconds(_ value: Double) -> Duration {
        value.isFinite && value > 0 ? .nanoseconds(Int64(min(value, 1e12) * 1e6)) : .zero
    }
}
