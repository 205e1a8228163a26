package import NIOCore

/// Runs tasks on an event loop, so that a request is answered on the thread that reads and writes its connection.
///
/// Between loop and pool a request changes threads at every step, and each change costs tens of microseconds of waking
/// up. What runs here must be short: it holds up all connections of its loop.
package final class EventLoopExecutor: TaskExecutor {
    /// The executor that answers the request at hand; nil where requests are answered in the pool. Tasks of their own,
    /// which do not inherit it, take it from here.
    @TaskLocal package static var current: EventLoopExecutor?

    private let loop: any EventLoop

    /// An executor on a loop.
    package init(_ loop: any EventLoop) { self.loop = loop }

    /// Whether the caller runs on the loop.
    package var isHere: Bool { loop.inEventLoop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        loop.execute { [self] in
            withExtendedLifetime(self) { job.runSynchronously(on: executor) }
        }
    }
}
