public import ServingTensors

/// Runs many requests through one model at a time, in steps that they share.
///
/// A request's tokens depend on its prompt, parameters and seed alone: not on what runs beside it, on chunking, on the
/// prefix cache or on preemption, as long as the runner's logits do not.
///
/// The engine owns one thread, on which everything of it lives; this type is the front that any thread may use. Events
/// come as `AsyncStream`s whose buffer has no bound of its own, so a slow reader never holds up the batch; it is
/// bounded by the request, which makes at most its tokens and a few more events for each sample.
public final class ServingEngine: Sendable {
    /// Sizes of the model.
    public let limits: ModelLimits
    private let mailbox: EngineMailbox
    private let now: @Sendable () -> Duration
    private let makeSeed: @Sendable () -> UInt64

    /// Starts an engine on a loaded model, which belongs to the engine from now on.
    ///
    /// - Parameters:
    ///   - runner: the model; called from the engine's thread only.
    ///   - configuration: how steps are planned.
    ///   - clock: what durations are measured with.
    ///   - makeSeed: seeds for requests that bring none.
    ///   - makeDecoder: makes the text decoder of each sample, on the engine's thread.
    public init<C: Clock>(
        runner: sending any ModelRunner, configuration: EngineConfiguration = EngineConfiguration(),
        clock: C = ContinuousClock(),
        makeSeed: @escaping @Sendable () -> UInt64 = { UInt64.random(in: 0...UInt64.max) },
        makeDecoder: @escaping TokenTextDecoderFactory
    ) where C.Duration == Duration {
        limits = runner.limits
        let origin = clock.now
        now = { origin.duration(to: clock.now) }
        self.makeSeed = makeSeed
        let planned = SchedulerLimits(model: limits, configuration: configuration)
        mailbox = EngineMailbox(
            sequenceLimit: planned.maxRunningSequences + max(0, configuration.maxWaitingSequences))
        let loop = EngineLoop(
            runner: runner, mailbox: mailbox, configuration: configuration, makeDecoder: makeDecoder, now: now)
        EngineThread.start(loop)
    }

    /// An engine that nobody can reach any more cancels what it has and ends its thread.
    deinit { mailbox.post(.shutDown(.cancel)) }

    /// Takes a request and returns its events. The stream ends after the last sample's `finished`.
    ///
    /// Returns without waiting. Letting go of the stream, or cancelling the task that reads it, cancels the request.
    public func submit(_ request: GenerationRequest) throws(SubmissionError) -> AsyncStream<GenerationEvent> {
        try submit(request, isCounted: true)
    }

    private func submit(
        _ request: GenerationRequest, isCounted: Bool
    ) throws(SubmissionError) -> AsyncStream<GenerationEvent> {
        try request.validate(limits: limits)
        let (stream, continuation) = AsyncStream.makeStream(of: GenerationEvent.self, bufferingPolicy: .unbounded)
        let seed = request.sampling.seed ?? makeSeed()
        let submittedAt = now()
        try mailbox.submit(request, isCounted: isCounted) { serial in
            continuation.onTermination = { [mailbox] termination in
                if case .cancelled = termination { mailbox.post(.cancel(serial: serial)) }
            }
            return Submission(
                serial: serial, request: request, seed: seed, submittedAt: submittedAt, events: continuation,
                isCounted: isCounted)
        }
        return stream
    }

    /// Ends a request, if it is in flight, before the next step; its samples finish as cancelled.
    public func cancel(_ id: String) { mailbox.cancel(id: id) }

    /// Runs requests to their ends and returns their answers in the order of the requests.
    ///
    /// They do not count for the limit of waiting sequences. Cancelling the calling task cancels them.
    public func generateAll(
        _ requests: [GenerationRequest]
    ) async -> [Result<GenerationOutput, SubmissionError>] {
        await withTaskGroup(of: (Int, Result<GenerationOutput, SubmissionError>).self) { group in
            for (index, request) in requests.enumerated() {
                let events = Result { () throws(SubmissionError) in try submit(request, isCounted: false) }
                group.addTask {
                    switch events {
                    case .success(let events): (index, .success(await GenerationOutput(events)))
                    case .failure(let error): (index, .failure(error))
                    }
                }
            }
            var results = [Result<GenerationOutput, SubmissionError>](
                repeating: .failure(.shuttingDown), count: requests.count)
            for await (index, result) in group { results[index] = result }
            return results
        }
    }

    /// What the engine holds and has done, as of its last step.
    public func statistics() -> EngineStatistics { mailbox.statistics }

    /// Takes no more requests, ends the others as `mode` says, and returns when the engine's thread has ended.
    public func shutDown(_ mode: ShutdownMode = .drain) async {
        mailbox.post(.shutDown(mode))
        await mailbox.waitForEnd()
    }
}
