import ControlStore
import Deployments
import Foundation
import Testing

@Suite struct ServerLockTests {
    private let scratch: ScratchFolder
    private let now = Timestamp(milliseconds: 1_700_000_000_000)

    init() throws { scratch = try ScratchFolder() }

    private func failure() -> ServerLock.Failure? {
        #expect(throws: ServerLock.Failure.self) { _ = try ServerLock.acquire(folder: scratch.path, now: now) }
    }

    @Test func aSecondServerHearsOfTheFirst() throws {
        let first = try ServerLock.acquire(folder: scratch.path, now: now)
        var expected = ServerLock.Holder(processID: getpid(), startedAt: now)
        #expect(failure() == .held(expected, path: scratch("server.lock")))
        try first.setURL("http://127.0.0.1:8090\nevil")
        expected.url = "http://127.0.0.1:8090"
        #expect(failure() == .held(expected, path: scratch("server.lock")))
        #expect(ServerLock.holder(folder: scratch.path) == expected)
        let text = try #require(failure()?.description)
        #expect(text.contains("\(getpid())") && text.contains("http://127.0.0.1:8090"))
        #expect(try scratch.permissions("server.lock") == 0o600)
    }

    @Test func whatIsGivenUpIsFree() throws {
        for _ in 0..<3 {
            let lock = try ServerLock.acquire(folder: scratch.path, now: now)
            lock.release()
            lock.release()
            #expect(ServerLock.holder(folder: scratch.path) == nil)
            #expect(throws: ServerLock.Failure.self) { try lock.setURL("http://late") }
        }
        do { _ = try ServerLock.acquire(folder: scratch.path, now: now) }
        _ = try ServerLock.acquire(folder: scratch.path, now: now)
    }

    @Test func nobodyHoldsAFolderThatIsNotThere() {
        #expect(ServerLock.holder(folder: scratch("none")) == nil)
    }

    @Test func aDeadServersFileIsNoObstacle() throws {
        let script = """
            import fcntl, os, sys
            f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)
            f.write(f'{os.getpid()}\\n5\\nhttp://10.0.0.1:1\\n'); f.flush()
            print('ready', flush=True); sys.stdin.read()
            """
        let other = try OtherProgram(script, scratch("server.lock"))
        #expect(ServerLock.holder(folder: scratch.path)?.url == "http://10.0.0.1:1")
        guard case .held(let holder, _) = failure() else {
            Issue.record("the lock of a living process was taken")
            return
        }
        #expect(holder.startedAt == Timestamp(milliseconds: 5))
        other.kill()
        #expect(ServerLock.holder(folder: scratch.path) == nil)
        let lock = try ServerLock.acquire(folder: scratch.path, now: now)
        #expect(ServerLock.holder(folder: scratch.path)?.processID == getpid())
        withExtendedLifetime(lock) {}
    }

    @Test func lookingDoesNotKeepAServerFromStarting() async throws {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask { [scratch] in
                    for _ in 0..<500 { _ = ServerLock.holder(folder: scratch.path) }
                }
            }
            group.addTask { [scratch, now] in
                for _ in 0..<20 {
                    let lock = try? ServerLock.acquire(folder: scratch.path, now: now)
                    #expect(lock != nil)
                    lock?.release()
                }
            }
        }
    }

    @Test func nonsenseInTheFileIsNoHolderToTrust() throws {
        let other = try OtherProgram(
            "import fcntl,sys; f = open(sys.argv[1], 'wb'); fcntl.flock(f, fcntl.LOCK_EX); "
                + "f.write(b'\\xff\\xfe not a pid\\n-1'); f.flush(); print(1, flush=True); sys.stdin.read()",
            scratch("server.lock"))
        #expect(ServerLock.holder(folder: scratch.path) == ServerLock.Holder())
        other.kill()
    }

    @Test func aPlaceThatCannotBeWrittenIsNamed() throws {
        try scratch.write([], to: "file")
        let error = #expect(throws: ServerLock.Failure.self) {
            _ = try ServerLock.acquire(folder: scratch("file"), now: now)
        }
        guard case .cannotWrite = error else {
            Issue.record("expected .cannotWrite, found \(String(describing: error))")
            return
        }
    }
}
