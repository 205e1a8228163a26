import Glibc
import Terminal
import Testing

extension SignalTests {
    @Suite struct InterruptMonitorTests {
        private struct Stopped: Error {}

        @Test func workWithoutInterruptGivesItsValue() async {
            let (result, wasInterrupted) = await InterruptMonitor.run { 7 }
            #expect(result.get() == 7 && !wasInterrupted)
        }

        @Test func firstInterruptCancelsTheWorkAndNotTheProgram() async {
            let (result, wasInterrupted) = await InterruptMonitor.run { () throws(Stopped) -> Int in
                kill(getpid(), SIGINT)
                while !Task.isCancelled { await Task.yield() }
                throw Stopped()
            }
            #expect(wasInterrupted)
            #expect(throws: Stopped.self) { try result.get() }
        }

        @Test func innermostScopeIsTheOneThatHears() async {
            let outer = await InterruptMonitor.run { () -> Bool in
                let inner = await InterruptMonitor.run { () -> Bool in
                    kill(getpid(), SIGINT)
                    while !Task.isCancelled { await Task.yield() }
                    return true
                }
                return inner.wasInterrupted && !Task.isCancelled
            }
            #expect(!outer.wasInterrupted)
            #expect(outer.result.get())
        }
    }
}
