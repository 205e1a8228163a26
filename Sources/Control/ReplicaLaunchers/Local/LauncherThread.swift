import CProcess
import Glibc
import Synchronization

/// The thread that a ``LocalLauncher`` runs on: its executor, and what waits for its processes to end.
///
/// Writing files durably and starting processes blocks; on a thread of its own that takes nothing from the concurrency
/// runtime. Between jobs the thread calls the launcher's `turn`, which says what to wait for next.
final class LauncherThread: SerialExecutor {
    /// What to wait for: descriptors that become readable, at most so long (nil: for ever).
    struct Watch: Sendable {
        var descriptors: [Int32] = []
        var timeout: Duration?
    }

    /// Takes the descriptors that are readable; nil ends the thread.
    typealias Turn = @Sendable ([Int32]) -> Watch?

    private struct State {
        var jobs: [UnownedJob] = []
        var isClosed = false
        var thread: pthread_t?
    }

    private final class Start: Sendable {
        let thread: LauncherThread
        let turn: Turn
        init(_ thread: LauncherThread, _ turn: @escaping Turn) {
            self.thread = thread
            self.turn = turn
        }
    }

    private let state = Mutex(State())
    private let wakeDescriptor: Int32

    init() throws(LauncherError) {
        wakeDescriptor = pbctl_wake_descriptor()
        guard wakeDescriptor >= 0 else {
            throw LauncherError(.unavailable, "cannot watch processes: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(wakeDescriptor) }

    /// Starts the thread; it holds itself until ``stop()`` or a nil turn.
    func start(_ turn: @escaping Turn) throws(LauncherError) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Start(self, turn))
        let number = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
                start.thread.run(start.turn)
                return nil
            }, context.toOpaque())
        guard number == 0 else {
            context.release()
            throw LauncherError(.unavailable, "cannot start a thread: \(String(cString: strerror(number)))")
        }
        pthread_detach(thread)
    }

    /// Ends the thread after the jobs that it has.
    func stop() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        wake()
    }

    func checkIsolated() {
        let isHere = state.withLock { $0.thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
        precondition(isHere, "the launcher's state is touched off its thread")
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    private func run(_ turn: Turn) {
        state.withLock { $0.thread = pthread_self() }
        var ready: [Int32] = []
        while true {
            let (jobs, isClosed) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.isClosed)
            }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            if isClosed { return }
            guard let watch = turn(ready) else { return }
            ready = wait(watch)
        }
    }

    private func wait(_ watch: Watch) -> [Int32] {
        var entries = ([wakeDescriptor] + watch.descriptors).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        // Rounded up, or the last millisecond would be spent in turns that are too early.
        let milliseconds = watch.timeout.map { timeout in
            let (seconds, attoseconds) = max(.zero, timeout).components
            return Int32(
                clamping: min(seconds, 86400) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
        }
        guard poll(&entries, nfds_t(entries.count), milliseconds ?? -1) > 0 else { return [] }
        if entries[0].revents != 0 {
            var count: UInt64 = 0
            _ = read(wakeDescriptor, &count, 8)
        }
        return entries.dropFirst().filter { $0.revents != 0 }.map(\.fd)
    }
}
