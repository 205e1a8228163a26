import CReadline
import Glibc
import Synchronization

/// What Ctrl-C does while something runs: it cancels that, and not the program.
///
/// A handler writes a byte to a pipe, and a thread that waits there calls the innermost handler. While no scope is
/// open Ctrl-C ends the program as ever.
public enum InterruptMonitor {
    private struct State {
        var pipe: Int32?
        var scopes: [(id: Int, handler: @Sendable (Int) -> Void, count: Int)] = []
        var nextID = 0
    }

    private static let state = Mutex(State())

    /// Runs `body`, whose task the first Ctrl-C cancels.
    ///
    /// - Parameters:
    ///   - onInterrupt: called too, in another thread, with how many times it was pressed so far.
    ///   - exitsOnSecond: whether a second Ctrl-C ends the program at once, for clean-ups that hang.
    /// - Returns: what `body` gives, and whether Ctrl-C was pressed.
    public static func run<Value: Sendable, Failure: Error>(
        exitsOnSecond: Bool = true, onInterrupt: @escaping @Sendable (Int) -> Void = { _ in },
        _ body: @escaping @Sendable () async throws(Failure) -> Value
    ) async -> (result: Result<Value, Failure>, wasInterrupted: Bool) {
        let task = Task { () -> Result<Value, Failure> in
            do throws(Failure) { return .success(try await body()) } catch { return .failure(error) }
        }
        let id = open { count in
            if count > 1, exitsOnSecond { die_by_signal(SIGINT) }
            task.cancel()
            onInterrupt(count)
        }
        let result = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        return (result, close(id) > 0)
    }

    /// Opens a scope by hand; ``close(_:)`` ends it.
    /// - Parameter handler: called in another thread for each Ctrl-C, with how many there were in this scope.
    public static func open(_ handler: @escaping @Sendable (Int) -> Void) -> Int {
        state.withLock { state in
            if state.scopes.isEmpty { install(&state) }
            state.nextID += 1
            state.scopes.append((state.nextID, handler, 0))
            return state.nextID
        }
    }

    /// Ends a scope. Gives how many times Ctrl-C was pressed in it.
    @discardableResult
    public static func close(_ id: Int) -> Int {
        state.withLock { state in
            guard let position = state.scopes.lastIndex(where: { $0.id == id }) else { return 0 }
            let scope = state.scopes.remove(at: position)
            if state.scopes.isEmpty { interrupt_pipe_restore() }
            return scope.count
        }
    }

    /// Ends the program as Ctrl-C would, with status 130 for the shell.
    public static func exitInterrupted() -> Never {
        die_by_signal(SIGINT)
        exit(130)
    }

    private static func install(_ state: inout State) {
        if state.pipe == nil {
            var ends: [Int32] = [-1, -1]
            guard signal_pipe_create(&ends, true) else { return }
            state.pipe = ends[1]
            startThread(reading: ends[0])
        }
        if let pipe = state.pipe { _ = interrupt_pipe_install(pipe) }
    }

    private static func startThread(reading descriptor: Int32) {
        var thread = pthread_t()
        let context = UnsafeMutableRawPointer(bitPattern: Int(descriptor) + 1)
        let status = pthread_create(
            &thread, nil,
            { context in
                let descriptor = Int32(Int(bitPattern: context) - 1)
                var byte: UInt8 = 0
                while true {
                    let count = read(descriptor, &byte, 1)
                    if count == 1 { InterruptMonitor.deliver() } else if count == 0 || errno != EINTR { return nil }
                }
            }, context)
        if status == 0 { pthread_detach(thread) }
    }

    private static func deliver() {
        let call = state.withLock { state -> (handler: @Sendable (Int) -> Void, count: Int)? in
            guard let last = state.scopes.indices.last else { return nil }
            state.scopes[last].count += 1
            return (state.scopes[last].handler, state.scopes[last].count)
        }
        if let call { call.handler(call.count) }
    }
}
