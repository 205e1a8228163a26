import Dispatch
import Synchronization

/// A few threads for work that reads files and computes, so that it never occupies the threads of asynchronous tasks.
/// Jobs are taken in order of arrival by whichever thread is free.
final class LoaderThreads: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var idle: [Int]
    }

    private let queues: [DispatchQueue]
    private let state: Mutex<State>

    /// So many jobs run beside each other.
    init(count: Int = 4) {
        queues = (0..<count).map { DispatchQueue(label: "pbctl.adapter-loader.\($0)", qos: .userInitiated) }
        state = Mutex(State(idle: Array(0..<count)))
    }

    /// Runs `body` on one of the threads.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            let thread = state.withLock { state in
                state.jobs.append { continuation.resume(returning: body()) }
                return state.idle.popLast()
            }
            if let thread { queues[thread].async { [self] in work(thread) } }
        }
    }

    /// Takes jobs until there are none.
    private func work(_ thread: Int) {
        while true {
            let job: (@Sendable () -> Void)? = state.withLock { state in
                guard !state.jobs.isEmpty else {
                    state.idle.append(thread)
                    return nil
                }
                return state.jobs.removeFirst()
            }
            guard let job else { return }
            job()
        }
    }
}
