import ServingEngine
import ServingTensors
import Synchronization

/// Does something to an engine from within its steps, so that tests need no waiting for the right moment.
final class StepHook: Sendable {
    typealias Action = @Sendable (_ engine: ServingEngine, _ step: Int, _ batch: ForwardBatch) -> Void

    private struct State {
        weak var engine: ServingEngine?
        var stepCount = 0
    }

    private let state = Mutex(State())
    private let action: Action

    init(_ action: @escaping Action) { self.action = action }

    var stepCount: Int { state.withLock { $0.stepCount } }

    func attach(_ engine: ServingEngine) { state.withLock { $0.engine = engine } }

    /// To be called as a runner's `beforeStep`. Steps count from 1.
    func callAsFunction(_ batch: ForwardBatch) {
        let (engine, step) = state.withLock { state in
            state.stepCount += 1
            return (state.engine, state.stepCount)
        }
        if let engine { action(engine, step, batch) }
    }
}
