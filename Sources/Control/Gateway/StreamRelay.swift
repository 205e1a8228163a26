import AsyncHTTPClient
import Deployments
import HTTPServing
import HummingbirdCore
import NIOCore
import ServingJSON

/// Passes a stream from replica to client, whole frames only, and has another replica carry it on when one is lost.
///
/// Made by ``GatewayRoutes`` for each stream; it runs until the client has all of it.
struct StreamRelay: Sendable {
    let job: GatewayJob
    /// Whether the client wants to hear how a wait goes on.
    let tellsProgress: Bool

    /// Why a replica gives nothing more.
    private enum Stop {
        /// The stream is over.
        case over
        /// Another replica must go on.
        case lost(ReplicaFailure)
        case failed(GatewayError)
    }

    private struct State {
        var journal: StreamJournal
        var writer: ClientWriter
        var isPromptDone = false
    }

    /// - Parameter first: the stream's beginning; nil where no replica was asked yet.
    /// - Throws: what writing to the client fails with.
    func run(_ first: GatewayJob.Answer?, _ writer: ClientWriter) async throws {
        var state = State(journal: StreamJournal(form: job.form), writer: writer)
        var budget = ResumptionBudget(job.service.configuration)
        var answer = first
        do {
            while true {
                let current: GatewayJob.Answer
                if let given = answer { current = given } else { current = try await next(&state) }
                answer = nil
                switch try await pass(current, &state) {
                case .over: return
                case .failed(let error): throw error
                case .lost(let failure):
                    let progress = state.journal.tokenCount + state.journal.frameCount
                    guard state.journal.canCarryOn, budget.allowsAnother(progress: progress) else {
                        throw GatewayError.replicaLost(job.name, failure.reason)
                    }
                    job.service.metrics.resumed(job.name)
                    state.journal.changeReplica()
                }
            }
        } catch let error as GatewayError {
            job.record.end(error)
            try await state.writer.write(ByteBuffer(bytes: error.event(job.form)))
            try await state.writer.finish()
        } catch {
            job.record.end(.dropped, failure: "dropped")
            throw error
        }
    }

    private func end(_ state: inout State) async throws {
        if let timing = state.journal.timing {
            job.record.time(
                queue: .milliseconds(timing.queueMilliseconds), inference: .milliseconds(timing.inferenceMilliseconds),
                promptTokenCount: timing.promptTokenCount, generatedTokenCount: timing.generatedTokenCount)
        }
        if state.journal.hasFailed {
            job.record.end(.failed, failure: "generation")
        } else {
            job.record.end(.success)
        }
        try await state.writer.finish()
    }

    // MARK: A replica

    /// The stream's next part, from a replica that has taken it.
    private func next(_ state: inout State) async throws -> GatewayJob.Answer {
        guard tellsProgress else { return try await job.answer(carryingOn: state.journal) }
        let ticket = QueueTicket()
        let journal = state.journal
        let interval = job.service.configuration.progressInterval
        return try await withThrowingTaskGroup(of: GatewayJob.Answer?.self) { group in
            group.addTask { try await job.answer(carryingOn: journal, ticket: ticket) }
            group.addTask { try await tick(interval) }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
                if let comment = progress(ticket) { try await state.writer.write(comment) }
                group.addTask { try await tick(interval) }
            }
            throw CancellationError()
        }
    }

    private func tick(_ interval: Duration) async throws -> GatewayJob.Answer? {
        try await Task.sleep(for: interval)
        return nil
    }

    /// `: {"waiting":{..}}`; nil where the request does not wait.
    private func progress(_ ticket: QueueTicket) -> ByteBuffer? {
        guard let position = job.dispatch.position(of: ticket), let condition = job.dispatch.route?.condition else {
            return nil
        }
        var json = JSONBytes()
        json.frame(": ")
        json.openObject()
        json.key("waiting")
        json.openObject()
        json.member("status", condition.status.rawValue)
        json.member("message", condition.message)
        json.member("position", position)
        json.closeObject()
        json.closeObject()
        json.frame("\n\n")
        return ByteBuffer(bytes: json.bytes)
    }

    /// Passes on what one replica sends.
    private func pass(_ answer: GatewayJob.Answer, _ state: inout State) async throws -> Stop {
        guard case .events(let body, let lease) = answer.body else {
            return .failed(answer.failure(job.name))
        }
        var splitter = EventFrameSplitter(limit: job.service.configuration.maxFrameBytes)
        var chunks = body.makeAsyncIterator()
        while true {
            let chunk: ByteBuffer?
            do {
                chunk = try await chunks.next()
            } catch {
                let failure = ReplicaFailure(error)
                if failure == .cancelled { throw error }
                job.service.lose(lease, job.name, failure)
                return .lost(failure)
            }
            guard let chunk else {
                lease.end(.answered)
                if state.journal.mayEnd {
                    try await end(&state)
                    return .over
                }
                let failure = ReplicaFailure.broken("its answer ended before its end")
                job.service.metrics.upstreamFailed(job.name, failure.label)
                return .lost(failure)
            }
            splitter.append(chunk)
            if let stop = try await passFrames(&splitter, lease, &state) {
                if case .over = stop {
                    lease.end(.answered)
                    try await end(&state)
                    // What follows is nothing but the end, as a rule; read, so that the connection can be used again.
                    while let rest = try? await chunks.next(), rest.readableBytes < 64 {}
                }
                return stop
            }
        }
    }

    /// Passes on the whole frames that are there, in one write.
    private func passFrames(
        _ splitter: inout EventFrameSplitter, _ lease: ReplicaLease, _ state: inout State
    ) async throws -> Stop? {
        var output = ByteBuffer()
        var stop: Stop?
        let tokenCount = state.journal.tokenCount
        do throws(EventFrameSplitter.TooLarge) {
            while stop == nil, let frame = try splitter.next() { stop = take(frame, &state, &output) }
        } catch {
            lease.end(.answered)
            stop = .failed(.replicaLost(job.name, "an event of its stream has more than \(error.limit) bytes"))
        }
        note(state.journal.tokenCount - tokenCount, lease, &state)
        if output.readableBytes > 0 { try await state.writer.write(output) }
        if case .lost(let failure)? = stop { job.service.lose(lease, job.name, failure) }
        return stop
    }

    private func take(_ frame: ByteBuffer, _ state: inout State, _ output: inout ByteBuffer) -> Stop? {
        frame.withUnsafeReadableBytes { bytes in
            let parts = EventFrame(bytes)
            switch state.journal.add(parts, bytes) {
            case .comment, .repeated: return nil
            case .handOver: return .lost(.refused("it is shutting down"))
            case .full: return .lost(.full)
            case .content:
                append(parts, bytes, to: &output)
                return nil
            case .end:
                append(parts, bytes, to: &output)
                return .over
            }
        }
    }

    /// A frame's bytes less comments, with the model that the client knows.
    private func append(_ parts: EventFrame, _ bytes: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        var rest = parts.payload
        if let model = job.model, let data = parts.data,
            let value = JSONMembers.firstValue("model", in: UnsafeRawBufferPointer(rebasing: bytes[data]))
        {
            let start = data.lowerBound + value.lowerBound
            output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[rest.lowerBound..<start]))
            output.writeBytes(model)
            rest = data.lowerBound + value.upperBound..<rest.upperBound
        }
        output.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[rest]))
    }

    private func note(_ count: Int, _ lease: ReplicaLease, _ state: inout State) {
        guard count > 0 else { return }
        job.record.tokens(count)
        lease.progress(tokenCount: count + (state.isPromptDone ? 0 : job.promptTokenCount))
        state.isPromptDone = true
    }
}

extension GatewayJob.Answer {
    /// An answer where a stream was asked for, as the error that it must be.
    fileprivate func failure(_ name: DeploymentName) -> GatewayError {
        var message = "the replica answered with status \(status)"
        if case .whole(let bytes) = body {
            let json = bytes.withUnsafeReadableBytes { try? JSONValue(parsing: $0) }
            let text = json?["error"]?["message"]?.stringValue ?? json?["error"]?.stringValue
            if let text { message += ": \(text.prefix(500))" }
        }
        return GatewayError(
            status < 400 ? 502 : status, "deployment \"\(name)\": \(message)",
            type: status < 500 && status >= 400 ? "invalid_request_error" : "server_error", nativeType: "generation")
    }
}

/// Writes to the client of one answer.
struct ClientWriter: Sendable {
    /// Only one task at a time has the writer, one call after the other; Hummingbird's own is Sendable.
    nonisolated(unsafe) private var body: any ResponseBodyWriter

    init(_ body: any ResponseBodyWriter) { self.body = body }

    mutating func write(_ bytes: ByteBuffer) async throws { try await body.write(bytes) }
    mutating func finish() async throws { try await body.finish(nil) }
}
