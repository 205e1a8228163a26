import Dispatch
import Synchronization

/// A few threads for work that reads files and computes, so that it never occupies the threads of asynchronous tasks.
final class LoaderThreads: Sendable {
    private let queues: [DispatchQueue]
    private let loads: Mutex<[Int]>

    /// So many loads run beside each other.
    init(count: Int = 4) {
        queues = (0..<count).map { DispatchQueue(label: "pbctl.adapter-loader.\($0)", qos: .userInitiated) }
        loads = Mutex(Array(repeating: 0, count: count))
    }

    /// Runs `body` on the least busy thread.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        let index = loads.withLock { loads in
            let index = loads.indices.min { loads[$0] < loads[$1] } ?? 0
            loads[index] += 1
            return index
        }
        defer { loads.withLock { $0[index] -= 1 } }
        return await withCheckedContinuation { continuation in
            queues[index].async { continuation.resume(returning: body()) }
        }
    }
}
