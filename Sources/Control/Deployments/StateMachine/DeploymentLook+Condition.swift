/// How a deployment stands, in words.
extension DeploymentLook {
    /// The whole plan.
    mutating func plan() -> DeploymentPlan {
        if spec.intent == .deleted, live.isEmpty, ending.isEmpty, ended.isEmpty { act(.retire) }
        return DeploymentPlan(actions: actions, condition: condition, memory: memory, nextCheck: nextCheck)
    }

    private var condition: DeploymentCondition {
        switch spec.intent {
        case .deleted:
            let text = ending.isEmpty ? "deleted" : "being deleted; \(endingText)"
            return DeploymentCondition(.deleted, reason: ending.isEmpty ? "Deleted" : "Deleting", message: text)
        case .stopped:
            let text = ending.isEmpty ? "stopped; 'pbctl start' starts it" : "being stopped; \(endingText)"
            return DeploymentCondition(.stopped, reason: ending.isEmpty ? "Stopped" : "Stopping", message: text)
        case .running:
            return readyCount > 0 ? servingCondition : idleCondition
        }
    }

    private var endingText: String {
        let requests = ending.reduce(0) { $0 &+ max(0, $1.outstandingRequestCount) }
        let replicas = ending.count == 1 ? "1 replica has" : "\(ending.count) replicas have"
        return "\(replicas) not ended yet (\(requests) request\(requests == 1 ? "" : "s") under way)"
    }

    // MARK: - With replicas that answer

    private var servingCondition: DeploymentCondition {
        guard hasOutdated else {
            return DeploymentCondition(.ready, reason: "ReplicasReady", message: readyText + progressText)
        }
        let replaced = live.count { $0.isReady && $0.templateMark == mark }
        let text = "\(replaced) of \(target) replica\(target == 1 ? "" : "s") at revision \(spec.revision)"
        guard memory.hasGivenUp else {
            return DeploymentCondition(.updating, reason: "RollingUpdate", message: text + progressText)
        }
        let old = live.count { $0.isReady && $0.templateMark != mark }
        return DeploymentCondition(
            .updating, reason: "RolloutStalled",
            message:
                "\(givenUpText); \(old) replica\(old == 1 ? "" : "s") of an earlier revision go\(old == 1 ? "es" : "") "
                + "on serving")
    }

    private var readyText: String {
        let ready = readyCount
        guard ready < target else { return "\(ready) replica\(ready == 1 ? "" : "s") ready" }
        return "\(ready) of \(target) replicas ready"
    }

    /// What is under way besides, with a separator before it.
    private var progressText: String {
        if let text = startingText { return "; \(text)" }
        if memory.failureCount > 0, live.count < target || hasOutdated { return "; \(failureText)" }
        return ""
    }

    // MARK: - Without

    private var idleCondition: DeploymentCondition {
        if memory.hasGivenUp, live.isEmpty {
            return DeploymentCondition(.errored, reason: givenUpReason, message: "\(givenUpText); \(Self.remedy)")
        }
        guard target > 0 else {
            let text = spec.pinnedReplicaCount == nil ? "no replicas" : "held at 0 replicas"
            return DeploymentCondition(.standby, reason: "ScaledToZero", message: "\(text); a request starts one")
        }
        if let text = startingText {
            let isWaiting = live.allSatisfy(\.isQueued) && !live.isEmpty
            let status: DeploymentStatus = isWaiting && !memory.wasEverReady ? .pending : .initializing
            return DeploymentCondition(status, reason: isWaiting ? "WaitingForPlace" : startingReason, message: text)
        }
        if let silent = live.first(where: \.isUnresponsive) {
            return DeploymentCondition(
                .initializing, reason: "Unresponsive", message: "replica \(silent.id) does not answer")
        }
        if memory.failureCount > 0, launchCount == 0 {
            return DeploymentCondition(.initializing, reason: "BackOff", message: failureText)
        }
        let isFirst = !memory.wasEverReady && memory.failureCount == 0
        let text = launchCount == 1 ? "starting a replica" : "starting \(launchCount) replicas"
        return DeploymentCondition(isFirst ? .pending : .initializing, reason: "Starting", message: text)
    }

    private var startingReason: String {
        live.contains { if case .loading = $0.phase { true } else { false } } ? "Loading" : "Starting"
    }

    /// What the replica that has got furthest of those that are not ready is doing.
    private var startingText: String? {
        var best: (rank: Int, text: String)?
        var count = 0
        for replica in live {
            let step: (rank: Int, text: String)
            switch replica.phase {
            case .queued(let reason):
                step = (-2, "waiting for a place" + (reason.isEmpty ? "" : ": \(reason.excerpt(200))"))
            case .starting: step = (-1, "starting a replica")
            case .loading(let percent): step = (percent, "loading the model, \(min(max(percent, 0), 100)) %")
            default: continue
            }
            count += 1
            if best.map({ step.rank > $0.rank }) ?? true { best = step }
        }
        guard let best else { return nil }
        return count == 1 ? best.text : "\(best.text) (\(count) replicas are starting)"
    }

    // MARK: - Failures

    private static let remedy = "change it or 'pbctl start' it to try again"

    private var givenUpReason: String {
        guard memory.failureCount < limits.failureLimit else { return "CrashLoop" }
        return switch memory.lastFailure?.code {
        case 66: "ModelNotFound"
        case nil where memory.lastFailureCause != nil: "LaunchFailed"
        default: "InvalidConfiguration"
        }
    }

    private var givenUpText: String {
        let count = memory.failureCount
        return
            (count == 1
            ? "starting was given up: the replica " : "given up after \(count) failed starts: the last one ")
            + lastFailureText
    }

    private var failureText: String {
        let count = memory.failureCount
        let text =
            (count == 1 ? "a replica failed: it " : "\(count) replicas failed in a row: the last one ")
            + lastFailureText
        let seconds = Int(backoffLeft.inSeconds.rounded(.up))
        return seconds > 0 ? "\(text); next try in \(seconds) s" : text
    }

    private var lastFailureText: String {
        let exit = memory.lastFailure
        var text = memory.lastFailureCause ?? exit?.outcomeText ?? "ended"
        let lines = exit?.lastLines.filter { $0.contains { !$0.isWhitespace } }.suffix(2) ?? []
        if !lines.isEmpty { text += ": " + lines.map { $0.excerpt(300) }.joined(separator: " | ") }
        return text
    }
}

extension ReplicaExit {
    /// How it ended, as a predicate (`ended with status 1`).
    package var outcomeText: String {
        if let signal { return "was ended by signal \(signal)" }
        return code.map { "ended with status \($0)" } ?? "ended, with an unknown status"
    }
}

extension String {
    /// The text on one line, cut where it is long.
    fileprivate func excerpt(_ limit: Int) -> String {
        let line = String(map { $0.isNewline ? " " : $0 })
        return line.count <= limit ? line : "\(line.prefix(limit))..."
    }
}

extension Duration {
    /// Whole seconds, for people.
    var text: String { "\(Int(clamping: wholeMilliseconds / 1000)) s" }
}
