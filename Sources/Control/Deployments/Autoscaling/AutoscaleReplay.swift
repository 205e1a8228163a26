/// A replay of a course of load while it is under way. Time is in seconds from the start.
struct AutoscaleReplay {
    private let trace: AutoscaleTrace
    private let service: AutoscaleSimulation.Service
    private var autoscaler: Autoscaler
    private(set) var points: [AutoscaleSimulation.Point] = []
    private(set) var decisions: [(time: Double, decision: ScalingDecision)] = []

    private var arrivals: ArrivalReader
    /// When requests that wait came, oldest first, from `queueHead` on.
    private var queue: [Double] = []
    private var queueHead = 0
    /// When requests that are worked on are done. All take as long, so that they end in the order in which they began.
    private var ends: [Double] = []
    private var endsHead = 0
    private var readyReplicas: Int
    /// When replicas that start are ready, soonest first.
    private var starting: [Double] = []
    private var waits: [Double] = []
    private var busySeconds = 0.0
    private var replicaSeconds = 0.0
    private var requestCount = 0

    /// Longest replay in looks; a queue that never empties ends there.
    private static let mostLooks = 200_000
    private let lookSeconds: Double

    init(trace: AutoscaleTrace, limits: ScalingLimits, service: AutoscaleSimulation.Service, replicas: Int) {
        self.trace = trace
        self.service = service
        arrivals = ArrivalReader(trace)
        readyReplicas = min(max(replicas, limits.minReplicas), limits.maxReplicas)
        let state = AutoscalerState(resumingWith: readyReplicas, now: Timestamp(milliseconds: 0))
        autoscaler = Autoscaler(limits: limits, state: state)
        let expected = 2 * (trace.duration + limits.cooldown.inSeconds + service.startupSeconds)
        lookSeconds = max(1, (expected / Double(Self.mostLooks)).rounded(.up))
    }

    private var running: Int { ends.count - endsHead }
    private var queued: Int { queue.count - queueHead }

    mutating func run() {
        var now = 0.0
        for _ in 0..<Self.mostLooks {
            advance(to: now)
            decide(now)
            points.append(
                AutoscaleSimulation.Point(
                    time: now, running: running, queued: queued, readyReplicas: readyReplicas,
                    startingReplicas: starting.count, desiredReplicas: autoscaler.desired))
            if now >= trace.duration, isAtRest { return }
            replicaSeconds += Double(readyReplicas + starting.count) * lookSeconds
            now += lookSeconds
        }
    }

    /// Whether nothing is left that would change anything.
    private var isAtRest: Bool {
        running == 0 && queued == 0 && starting.isEmpty && autoscaler.desired == autoscaler.limits.minReplicas
    }

    /// Lets everything happen that happens until `now`, in order.
    private mutating func advance(to now: Double) {
        while true {
            let arrival = arrivals.next(load: running + queued)
            let end = endsHead < ends.count ? ends[endsHead] : .infinity
            let start = starting.first ?? .infinity
            let moment = min(arrival, end, start)
            guard moment <= now else { break }
            if end == moment {
                endsHead += 1
                arrivals.pass(to: moment)
            } else if start == moment {
                starting.removeFirst()
                readyReplicas += 1
            } else if arrivals.take(at: moment) {
                queue.append(moment)
                requestCount += 1
            }
            serve(moment)
        }
        compact()
    }

    /// Gives waiting requests to replicas that have room.
    private mutating func serve(_ now: Double) {
        while queueHead < queue.count, running < readyReplicas * service.slotsPerReplica {
            waits.append(now - queue[queueHead])
            queueHead += 1
            ends.append(now + service.secondsPerRequest)
            busySeconds += service.secondsPerRequest
        }
    }

    private mutating func compact() {
        if queueHead > 4096, queueHead * 2 > queue.count {
            queue.removeFirst(queueHead)
            queueHead = 0
        }
        if endsHead > 4096, endsHead * 2 > ends.count {
            ends.removeFirst(endsHead)
            endsHead = 0
        }
    }

    private mutating func decide(_ now: Double) {
        let sample = LoadSample(
            at: Timestamp(milliseconds: Int64(now * 1000)), running: running, queued: queued,
            readyReplicas: readyReplicas)
        guard let decision = autoscaler.decide(sample) else { return }
        decisions.append((now, decision))
        var difference = decision.to - readyReplicas - starting.count
        while difference > 0 {
            starting.append(now + service.startupSeconds)
            difference -= 1
        }
        while difference < 0 {
            // What isn't ready goes first, the newest of it.
            if starting.popLast() == nil { readyReplicas -= 1 }
            difference += 1
        }
    }

    func summary() -> AutoscaleSimulation.Summary {
        var summary = AutoscaleSimulation.Summary()
        let sorted = waits.sorted()
        func percentile(_ share: Double) -> Double {
            sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int((Double(sorted.count) * share).rounded(.up)) - 1)]
        }
        summary.requestCount = requestCount
        summary.unansweredCount = running + queued
        (summary.waitP50, summary.waitP95) = (percentile(0.5), percentile(0.95))
        summary.longestWait = sorted.last ?? 0
        summary.replicaSeconds = replicaSeconds
        summary.peakReplicas = points.map(\.replicas).max() ?? 0
        summary.peakLoad = points.map(\.load).max() ?? 0
        let capacity = replicaSeconds * Double(service.slotsPerReplica)
        summary.utilization = capacity > 0 ? min(1, busySeconds / capacity) : 0
        return summary
    }
}
