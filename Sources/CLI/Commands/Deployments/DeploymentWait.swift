import ArgumentParser
import ControlAPI
import ControlClient
import Deployments
import Synchronization
import Terminal

/// Whether and how long a command waits for what it has set going.
struct WaitOptions: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Wait until it is done (default: on a terminal).")
    var wait: Bool?

    @Option(help: ArgumentHelp("How long to wait.", valueName: "duration"))
    var timeout = DurationText(.seconds(600))

    var waits: Bool { wait ?? TerminalState.isTerminal(2) }
}

/// Watches a deployment until it is what is waited for, telling on standard error how it comes along.
struct DeploymentWait: Sendable {
    let client: ControlClient
    let name: DeploymentName
    let condition: WaitCondition
    let timeout: Duration

    /// How long a server may be away, because it is started anew, before waiting for it is given up.
    private static let absence: Duration = .seconds(15)

    /// Returns when the condition is met.
    /// - Throws: a failure with status 75 when the time is over, with 1 when it won't be met.
    func run() async throws {
        let outcome: Result<Void, any Error>? = await withTaskGroup(of: Result<Void, any Error>?.self) { group in
            group.addTask {
                do {
                    try await watch()
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await Task.sleep(for: timeout)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        if let outcome { return try outcome.get() }
        try Task.checkCancellation()
        let state = try? await client.deployment(name)
        let now = state.map { ": it is \($0.status.rawValue), \($0.statusMessage)" } ?? ""
        throw CommandFailure(
            "deployment \"\(name)\" was not \(condition.description) within \(DurationText.text(timeout))\(now)",
            hint: "it goes on; 'pbctl wait \(name) --for \(condition.description)' waits again",
            status: ExitStatus.tryAgain)
    }

    private func watch() async throws {
        let line = Mutex(StatusLine())
        defer { line.withLock { $0.clear() } }
        var lastSeen = ContinuousClock.now
        while true {
            let verdict = Mutex<WaitCondition.Verdict>(.pending)
            do {
                try await client.watch(name) { view in
                    let now = condition.verdict(on: view)
                    verdict.withLock { $0 = now }
                    if now == .pending { line.withLock { $0.show(Self.progress(view)) } }
                    return now == .pending
                }
                lastSeen = .now
            } catch let error as ControlClientError {
                // What was deleted is not there any more.
                if condition == .deleted, error.status == 404 { return }
                let isAway = error.code == .unreachable || error.isRetryable
                guard isAway, ContinuousClock.now - lastSeen < Self.absence else { throw error }
            }
            switch verdict.withLock({ $0 }) {
            case .met: return
            case .hopeless(let reason, let hint):
                throw CommandFailure("deployment \"\(name)\" is not \(condition.description): \(reason)", hint: hint)
            case .pending: try await Task.sleep(for: .milliseconds(300))
            }
        }
    }

    /// Where a deployment stands, on one line.
    static func progress(_ view: DeploymentView) -> String {
        let message = view.statusMessage.isEmpty ? view.statusReason : view.statusMessage
        return "\(view.name): \(view.status.rawValue)\(message.isEmpty ? "" : ", \(message)")"
    }
}

extension WaitOptions {
    /// Waits, if it is to be waited.
    func finish(
        _ client: ControlClient, _ name: DeploymentName, until condition: WaitCondition
    ) async throws {
        guard waits else { return }
        try await DeploymentWait(client: client, name: name, condition: condition, timeout: timeout.duration).run()
    }
}
