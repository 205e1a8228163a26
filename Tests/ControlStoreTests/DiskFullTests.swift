import ControlStore
import Deployments
import Foundation
import Testing

/// A small disk in memory; needs the right to mount.
final class SmallDisk {
    let path: String

    /// Nil where it can't be had.
    init?(bytes: Int) {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("pbctl-disk-\(UUID().uuidString)").path
        guard geteuid() == 0, mkdir(path, 0o700) == 0 else { return nil }
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 else {
            rmdir(path)
            return nil
        }
    }

    /// Takes all room there is.
    func fill() {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        defer { close(file) }
        for size in [65536, 4096, 1] {
            let bytes = [UInt8](repeating: 1, count: size)
            while write(file, bytes, size) > 0 {}
        }
    }

    func makeRoom() { unlink(path + "/filler") }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }

    static let isPossible = SmallDisk(bytes: 1 << 20) != nil
}

@Suite(.enabled(if: SmallDisk.isPossible, "needs the right to mount")) struct DiskFullTests {
    @Test func aFullDiskUndoesTheChangeAndLaterOnesWork() async throws {
        let disk = try #require(SmallDisk(bytes: 4 << 20))
        let store = try await ControlStore.open(folder: disk.path + "/state")
        let first = try Sample.spec("first")
        try await store.insert(first)
        disk.fill()
        var failure: StoreError?
        var recorded = 0
        for index in 0..<2000 where failure == nil {
            let spec = try Sample.spec("more-\(index)")
            do throws(StoreError) {
                try await store.insert(spec, event: Sample.event(spec, "Created"))
                recorded += 1
            } catch {
                failure = error
            }
        }
        #expect(failure?.code == .diskFull && failure?.isRetryable == true)
        #expect(failure?.message.contains("disk is full") == true)
        #expect(try await store.deployments().count == recorded + 1)
        #expect(try await store.events(limit: 10_000).count == recorded)
        #expect(try await !store.backUp())
        disk.makeRoom()
        try await store.insert(try Sample.spec("after"))
        await store.close()
        let again = try await ControlStore.open(folder: disk.path + "/state")
        #expect(try await again.deployments().count == recorded + 2)
        await again.close()
    }

    @Test func aStoreThatCannotBeMadeLeavesNothingHalf() async throws {
        let disk = try #require(SmallDisk(bytes: 1 << 20))
        disk.fill()
        let error = await #expect(throws: StoreError.self) {
            _ = try await ControlStore.open(folder: disk.path + "/state")
        }
        #expect(error?.code == .diskFull, "\(String(describing: error))")
        disk.makeRoom()
        let store = try await ControlStore.open(folder: disk.path + "/state")
        #expect(try await store.deployments().isEmpty)
        await store.close()
    }

    @Test func metricsWaitForRoom() async throws {
        let disk = try #require(SmallDisk(bytes: 4 << 20))
        let store = try await ControlStore.open(folder: disk.path + "/state")
        let clock = ManualClock(1_700_000_000_000)
        let history = MetricsHistory(store: store, clock: clock)
        disk.fill()
        let name = try DeploymentName("chat")
        var failed = false
        var count = 0
        for _ in 0..<200 where !failed {
            for adapter in 0..<90 {
                history.record(
                    RequestSample(deployment: name, adapter: "a\(adapter)", endedAt: clock.now(), outcome: .success))
                count += 1
            }
            clock.advance(10_000)
            do { try await history.flush() } catch { failed = true }
        }
        #expect(failed)
        disk.makeRoom()
        try await history.flush()
        let points = try await history.figures(
            name, from: Timestamp(milliseconds: 1_700_000_000_000), to: clock.now(), step: .seconds(10))
        #expect(points.reduce(0) { $0 + $1.requestCount } == count)
        await store.close()
    }
}
