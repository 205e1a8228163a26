import BlockingThreads
import CCurl
import Glibc

/// How long a load goes on and how wide it is.
public struct LoadLimits: Sendable {
    /// Most requests in flight.
    public var concurrency: Int
    /// Requests in all, or nil.
    public var requestCount: Int?
    /// Seconds after which none is started any more, or nil.
    public var seconds: Double?

    /// Limits; at least one of the last two is to be given.
    public init(concurrency: Int, requestCount: Int?, seconds: Double? = nil) {
        self.concurrency = concurrency
        self.requestCount = requestCount
        self.seconds = seconds
    }

    /// The widest load.
    public static let maximumConcurrency = 10_000
}

/// Makes a load: sends the requests of a plan and measures their answers.
public struct LoadRun: Sendable {
    let target: LoadTarget
    let template: RequestTemplate
    let workload: Workload
    let writer: PromptWriter

    /// A load.
    public init(target: LoadTarget, template: RequestTemplate, workload: Workload, writer: PromptWriter) {
        self.target = target
        self.template = template
        self.workload = workload
        self.writer = writer
    }

    /// Sends `count` requests that are not measured: other prompts than the load's and short answers, to one adapter
    /// after another.
    /// - Returns: the first failure, if any failed.
    public func warmUp(count: Int, concurrency: Int, stop: StopFlag) async -> RequestFailure? {
        var workload = workload
        workload.seed = ~workload.seed
        workload.rate = nil
        workload.popularity = .distinct
        workload.outputTokens = .constant(4)
        let other = LoadRun(target: target, template: template, workload: workload, writer: writer.forWarmUp)
        let limits = LoadLimits(concurrency: concurrency, requestCount: count)
        return await other.run(limits, stop: stop).report.failures.first?.example
    }

    /// Runs the load to its end, or until `stop` is raised: what is in flight then is dropped.
    public func run(_ limits: LoadLimits, stop: StopFlag) async -> (report: LoadReport, wasStopped: Bool) {
        let load = self
        return await BlockingThread.run {
            let loop = TransferLoop(load, limits)
            let wasStopped = loop.run(stop)
            return (
                LoadReport(loop.outcomes, workload: load.workload, template: load.template, start: loop.start),
                wasStopped
            )
        }
    }

    /// Raises the limit of open descriptors to hold so many connections.
    public static func allowConnections(_ count: Int) throws(LoadGeneratorError) {
        let needed = rlim_t(count + 64)
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        guard limit.rlim_max >= needed else {
            throw LoadGeneratorError(
                .badOption, "concurrency \(count): this process may open \(limit.rlim_max) files only (ulimit -n)")
        }
        limit.rlim_cur = needed
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// All transfers of a load, moved on by one thread.
private final class TransferLoop {
    private let load: LoadRun
    private let limits: LoadLimits
    private var plan: WorkloadPlan
    /// The request that is to be sent next, once it is due and there is room.
    private var next: PlannedRequest?
    private var startedCount = 0
    private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
    private(set) var outcomes: [RequestOutcome] = []
    /// Seconds on the monotonic clock.
    private(set) var start = 0.0

    /// A transfer with what measures it.
    private final class Transfer {
        let handle: HTTPRequestHandle
        let tracker: AnswerTracker

        init?(_ load: LoadRun, _ request: PlannedRequest, start: Double) {
            let prompt = load.writer.text(index: request.index, tokenCount: request.promptTokens)
            let body = load.template.body(request, prompt: prompt)
            guard let handle = HTTPRequestHandle(load.target, path: load.template.api.path, body: body) else {
                return nil
            }
            tracker = AnswerTracker(request, api: load.template.api, start: start, easy: handle.easy)
            handle.deliver(to: tracker)
            self.handle = handle
        }
    }

    init(_ load: LoadRun, _ limits: LoadLimits) {
        self.load = load
        self.limits = limits
        plan = WorkloadPlan(load.workload)
        next = plan.next()
    }

    /// True when `stop` ended it.
    func run(_ stop: StopFlag) -> Bool {
        guard let multi = ccurl_multi_create(limits.concurrency) else { return false }
        defer { ccurl_multi_free(multi) }
        start = AnswerTracker.now()
        while !stop.isRaised {
            startDue(multi)
            guard ccurl_multi_perform(multi) else {
                // Out of memory, or a mistake of ours: nothing moves any more.
                failAll(.closed("libcurl gave up"))
                break
            }
            let hasEnded = reap(multi)
            if transfers.isEmpty, isFinished { return false }
            // Room that was just made is filled before waiting.
            if !hasEnded { wait(multi) }
        }
        for transfer in transfers.values { _ = ccurl_multi_remove(multi, transfer.handle.easy) }
        transfers = [:]
        return stop.isRaised
    }

    private func failAll(_ failure: RequestFailure) {
        for transfer in transfers.values {
            var outcome = transfer.tracker.outcome(code: Int32(CCURL_OK), end: AnswerTracker.now())
            outcome.failure = failure
            outcomes.append(outcome)
        }
    }

    private var isFinished: Bool {
        if let count = limits.requestCount, startedCount >= count { return true }
        guard let seconds = limits.seconds else { return false }
        // A request due after the last second is never sent.
        return AnswerTracker.now() - start >= seconds || (next?.arrival ?? 0) >= seconds
    }

    private func startDue(_ multi: UnsafeMutableRawPointer) {
        while transfers.count < limits.concurrency, !isFinished, let request = next {
            let now = AnswerTracker.now()
            let isOpenLoop = load.workload.rate != nil
            guard !isOpenLoop || start + request.arrival <= now else { return }
            // In an open loop latency counts from when a request was due: one that had to wait has waited.
            let begin = isOpenLoop ? start + request.arrival : now
            next = plan.next()
            startedCount += 1
            guard let transfer = Transfer(load, request, start: begin), ccurl_multi_add(multi, transfer.handle.easy)
            else {
                outcomes.append(
                    RequestOutcome(
                        adapter: request.adapter, start: begin, end: now, tokenTimes: [],
                        failure: .unreachable("libcurl has no memory")))
                continue
            }
            transfers[transfer.handle.easy] = transfer
        }
    }

    /// Takes what has ended. True if anything has.
    private func reap(_ multi: UnsafeMutableRawPointer) -> Bool {
        var code: Int32 = 0
        var hasEnded = false
        while let easy = ccurl_multi_next_ended(multi, &code) {
            hasEnded = true
            guard let transfer = transfers.removeValue(forKey: easy) else { continue }
            outcomes.append(transfer.tracker.outcome(code: code, end: AnswerTracker.now()))
            _ = ccurl_multi_remove(multi, easy)
        }
        return hasEnded
    }

    private func wait(_ multi: UnsafeMutableRawPointer) {
        // Ctrl-C is heard within a tenth of a second.
        var milliseconds = 100
        if load.workload.rate != nil, transfers.count < limits.concurrency, let next {
            let pause = (start + next.arrival - AnswerTracker.now()) * 1000
            milliseconds = max(0, min(milliseconds, Int(pause.rounded(.up))))
        }
        if transfers.isEmpty {
            usleep(UInt32(milliseconds) * 1000)
        } else {
            _ = ccurl_multi_wait(multi, Int32(milliseconds))
        }
    }
}
