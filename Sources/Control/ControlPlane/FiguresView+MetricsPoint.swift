import ControlAPI
import ControlStore
import Deployments

extension FiguresView {
    /// What the history says of one stretch of time.
    init(_ point: MetricsPoint) {
        self.init()
        requestsPerSecond = point.requestsPerSecond
        generatedTokensPerSecond = point.generatedTokensPerSecond
        inferenceTime = SpreadView(point.inference)
        queueDuration = SpreadView(point.queue)
        timeToFirstToken = SpreadView(point.timeToFirstToken)
        interToken = SpreadView(point.interToken)
        replicas = point.meanReplicaCount ?? 0
        utilization = point.utilization
        for (outcome, count) in point.requestCounts { requests[outcome.rawValue] = count }
    }
}

extension SpreadView {
    fileprivate init(_ figures: MetricsPoint.DurationFigures?) {
        self.init(
            mean: figures?.mean.inSeconds, p50: figures?.p50.inSeconds, p95: figures?.p95.inSeconds,
            p99: figures?.p99.inSeconds)
    }
}
