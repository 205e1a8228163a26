import Synchronization

/// Bounds the bytes of adapters that are being read and prepared. Those that find no room wait in order of arrival; one
/// that is larger than all the room goes alone.
final class LoadGate: Sendable {
    /// A place inside; it is given back when nobody holds this any more.
    final class Pass: Sendable {
        private let gate: LoadGate
        private let bytes: Int

        fileprivate init(_ gate: LoadGate, _ bytes: Int) {
            self.gate = gate
            self.bytes = bytes
        }

        deinit { gate.leave(bytes) }
    }

    private struct State {
        var bytes = 0
        var count = 0
        var line: [(bytes: Int, turn: Broadcast<Pass>)] = []
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) { self.capacity = capacity }

    /// Waits for room; nil for a cancelled task.
    func enter(_ bytes: Int) async -> Pass? {
        let turn = state.withLock { state -> Broadcast<Pass>? in
            if state.line.isEmpty, admits(bytes, state) {
                state.bytes += bytes
                state.count += 1
                return nil
            }
            let turn = Broadcast<Pass>()
            state.line.append((bytes, turn))
            return turn
        }
        guard let turn else { return Pass(self, bytes) }
        if let pass = await turn.value() { return pass }
        // A pass that was sent in the meantime goes with the turn that nobody holds any more.
        state.withLock { $0.line.removeAll { $0.turn === turn } }
        admit()
        return nil
    }

    private func admits(_ bytes: Int, _ state: State) -> Bool { state.count == 0 || state.bytes + bytes <= capacity }

    private func leave(_ bytes: Int) {
        state.withLock { state in
            state.bytes -= bytes
            state.count -= 1
        }
        admit()
    }

    private func admit() {
        while let (bytes, turn) = next() { turn.send(Pass(self, bytes)) }
    }

    private func next() -> (Int, Broadcast<Pass>)? {
        state.withLock { state in
            guard let first = state.line.first, admits(first.bytes, state) else { return nil }
            state.line.removeFirst()
            state.bytes += first.bytes
            state.count += 1
            return first
        }
    }
}
