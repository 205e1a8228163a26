import Glibc

/// How an engine ends.
public enum ShutdownMode: Sendable {
    /// What was taken is finished first.
    case drain
    /// What runs or waits ends as cancelled.
    case cancel
}

/// What callers tell the engine's thread.
enum EngineCommand {
    case start(Submission)
    case cancel(serial: Int)
    case shutDown(ShutdownMode)
}

/// A request on its way to the engine's thread.
struct Submission: Sendable {
    let serial: Int
    let request: GenerationRequest
    let seed: UInt64
    /// Time of the engine's clock.
    let submittedAt: Duration
    let events: AsyncStream<GenerationEvent>.Continuation
    /// Whether its sequences fill the waiting queue.
    let isCounted: Bool
}

/// The way from any thread to the engine's thread, and the book of what is in flight.
///
/// `@unchecked Sendable`: every access to the variables below happens between `lock()` and `unlock()` of `mutex`.
final class EngineMailbox: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let sequenceLimit: Int

    private var commands: [EngineCommand] = []
    private var serials: [String: Int] = [:]
    private var sequenceCount = 0
    private var lastSerial = 0
    private var isClosed = false
    private var hasEnded = false
    private var endWaiters: [CheckedContinuation<Void, Never>] = []
    private var published = EngineStatistics()

    init(sequenceLimit: Int) {
        self.sequenceLimit = sequenceLimit
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    private func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    // MARK: Any thread

    /// Books a request and sends it on its way under the serial number that it gets.
    func submit(
        _ request: GenerationRequest, isCounted: Bool, _ makeSubmission: (_ serial: Int) -> Submission
    ) throws(SubmissionError) {
        try withLock { () throws(SubmissionError) in
            guard !isClosed else { throw .shuttingDown }
            guard serials[request.id] == nil else { throw .duplicateID(request.id) }
            if isCounted {
                guard sequenceCount + request.sampleCount <= sequenceLimit else {
                    throw .queueFull(limit: sequenceLimit)
                }
                sequenceCount += request.sampleCount
            }
            lastSerial += 1
            serials[request.id] = lastSerial
            commands.append(.start(makeSubmission(lastSerial)))
            pthread_cond_signal(condition)
        }
    }

    func post(_ command: EngineCommand) {
        withLock {
            if case .shutDown = command { isClosed = true }
            guard !hasEnded else { return }
            commands.append(command)
            pthread_cond_signal(condition)
        }
    }

    func cancel(id: String) {
        if let serial = withLock({ serials[id] }) { post(.cancel(serial: serial)) }
    }

    var statistics: EngineStatistics { withLock { published } }

    /// Returns when the engine's thread does nothing any more.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let hasEnded = withLock {
                if !self.hasEnded { endWaiters.append(continuation) }
                return self.hasEnded
            }
            if hasEnded { continuation.resume() }
        }
    }

    // MARK: The engine's thread

    /// Takes what was posted, in order; waits for something when `isIdle`.
    func takeCommands(isIdle: Bool) -> [EngineCommand] {
        withLock {
            while isIdle, commands.isEmpty { pthread_cond_wait(condition, mutex) }
            defer { commands = [] }
            return commands
        }
    }

    /// Takes a request out of the book.
    func retire(_ submission: Submission) {
        withLock {
            serials[submission.request.id] = nil
            if submission.isCounted { sequenceCount -= submission.request.sampleCount }
        }
    }

    func publish(_ statistics: EngineStatistics) { withLock { published = statistics } }

    /// Closes the mailbox for good; returns commands that nobody will carry out.
    func end() -> [EngineCommand] {
        let (left, waiters) = withLock {
            isClosed = true
            hasEnded = true
            defer {
                commands = []
                endWaiters = []
            }
            return (commands, endWaiters)
        }
        for waiter in waiters { waiter.resume() }
        return left
    }
}
