import Glibc
import ServingAdapters
import Synchronization
import Testing

@testable import ModelHub

@Suite struct AdapterLocatorTests {
    private let scratch: ScratchFolder
    private let root: String

    init() throws {
        scratch = try ScratchFolder()
        let resolved = realpath(scratch.path, nil)
        defer { free(resolved) }
        root = resolved.map { String(cString: $0) + "/root" } ?? ""
        try FileSystem.makeDirectories(root)
    }

    private func rooted() -> AdapterLocator { AdapterLocator(root: root, cache: scratch.path + "/cache") }

    private func failure(
        _ locator: AdapterLocator, _ id: String, _ source: AdapterSource, token: String? = nil
    ) async -> AdapterError? {
        do throws(AdapterError) {
            _ = try await locator.locate(id, source: source, token: token)
            return nil
        } catch { return error }
    }

    // MARK: Below a root

    @Test func idIsAPathBelowTheRoot() async throws {
        try TinyAdapter.write(to: root + "/style")
        try TinyAdapter.write(to: root + "/team/tone")
        #expect(try await rooted().locate("style", source: .local, token: nil).folder == root + "/style")
        #expect(try await rooted().locate("team/tone", source: .local, token: nil).folder == root + "/team/tone")
        #expect(await failure(rooted(), "none", .local)?.code == .notFound)
        #expect(await failure(rooted(), "team", .local)?.code == .notFound)
    }

    @Test func idCannotLeaveTheRoot() async throws {
        try TinyAdapter.write(to: scratch.path + "/outside")
        try TinyAdapter.write(to: root + "/style")
        for id in [
            "../outside", "style/../../outside", "..", ".", "", "/", root, root + "/../outside",
            scratch.path + "/outside",
            "~/x", "style/", "./style", "style//x", "a\nb", "a\0b", "..\\outside", String(repeating: "a/", count: 600),
        ] {
            let error = await failure(rooted(), id, .local)
            #expect(error?.code == .invalidRequest, "\(id)")
            #expect(error?.message.contains("\n") == false)
        }
    }

    @Test func linksMayNotLeadOutOfTheRoot() async throws {
        // Begins with the root's own path, which a comparison of texts alone would let through.
        try TinyAdapter.write(to: root + "-outside")
        try TinyAdapter.write(to: root + "/style")
        symlink(root + "-outside", root + "/folder")
        symlink("..", root + "/up")
        symlink(root + "/style", root + "/alias")
        try FileSystem.makeDirectories(root + "/files")
        for name in AdapterFiles.required { symlink(root + "-outside/" + name, root + "/files/" + name) }
        for id in ["folder", "up/root-outside", "files"] {
            let error = await failure(rooted(), id, .local)
            #expect(error?.code == .notFound, "\(id)")
            #expect(error?.message.contains(scratch.path) == false)
        }
        #expect(try await rooted().locate("alias", source: .local, token: nil).folder == root + "/style")
    }

    @Test func absolutePathsBelowTheRootAreTaken() async throws {
        try TinyAdapter.write(to: root + "/team/style")
        let found = try await rooted().locate(root + "/team/style", source: .local, token: nil)
        #expect(found.folder == root + "/team/style")
    }

    @Test func placesOfIDsWithoutASource() async throws {
        let registry = AdapterStore(root: scratch.path + "/registry")
        try TinyAdapter.write(to: root + "/both")
        try TinyAdapter.write(to: scratch.path + "/outside")
        for name in ["both", "reg"] { _ = try registry.add(folder: scratch.path + "/outside", as: name) }
        let locator = AdapterLocator(root: root, registry: registry, cache: scratch.path + "/cache")
        #expect(["both", "both/1", "reg", "reg/1"].map(locator.place) == [.local, .pbase, .pbase, .pbase])
        #expect(["reg/2", "none", "acme/reg", "../outside", ""].map(locator.place) == [nil, nil, nil, nil, nil])
        // Who names a place is told where else it is.
        #expect(await failure(locator, "reg", .local)?.message.contains("pbase") == true)
        #expect(await failure(locator, "none", .local)?.message.contains("registry has none") == true)
    }

    @Test func anyPathIsForThoseAloneWhoMay() async throws {
        try TinyAdapter.write(to: root + "/style")
        let closed = AdapterLocator(cache: scratch.path + "/cache")
        let open = AdapterLocator(allowsAnyPath: true, cache: scratch.path + "/cache")
        #expect(await failure(closed, root + "/style", .local)?.code == .invalidRequest)
        #expect(try await open.locate(root + "/style", source: .local, token: nil).folder == root + "/style")
        #expect(await failure(open, root, .local)?.code == .notFound)
    }

    @Test func knownIDsAreThoseThatCanBeUsed() async throws {
        let registry = AdapterStore(root: scratch.path + "/registry")
        try TinyAdapter.write(to: root + "/b")
        try TinyAdapter.write(to: root + "/team/a")
        try TinyAdapter.write(to: root + "/.hidden")
        try TinyAdapter.write(to: scratch.path + "/outside")
        symlink(scratch.path + "/outside", root + "/escape")
        symlink(root, root + "/loop")
        try FileSystem.makeDirectories(root + "/empty")
        _ = try registry.add(folder: root + "/b", as: "reg")
        let locator = AdapterLocator(root: root, registry: registry, cache: scratch.path + "/cache")
        let ids = locator.knownIDs(of: .local)
        #expect(ids == ["b", "team/a"])
        for id in ids { #expect(await failure(locator, id, .local) == nil, "\(id)") }
        #expect(locator.knownIDs(of: .pbase) == ["reg/1"])
        #expect(await failure(locator, "reg/1", .pbase) == nil)
        #expect(locator.knownIDs(of: .hub) == [])
    }

    @Test func registryGivesVersionsAndTheNewest() async throws {
        let registry = AdapterStore(root: scratch.path + "/registry")
        try TinyAdapter.write(to: root + "/style")
        let first = try registry.add(folder: root + "/style")
        let second = try registry.add(folder: root + "/style")
        let locator = AdapterLocator(registry: registry, cache: scratch.path + "/cache")
        #expect(
            try await locator.locate("style/1", source: .pbase, token: nil)
                == AdapterLocation(folder: first.folder, revision: "1"))
        #expect(
            try await locator.locate("style", source: .pbase, token: nil)
                == AdapterLocation(folder: second.folder, revision: "2"))
        #expect(await failure(locator, "style/3", .pbase)?.code == .notFound)
        #expect(await failure(locator, "../style", .pbase)?.code == .invalidRequest)
        unlink(second.folder + "/manifest.json")
        let damaged = await failure(locator, "style", .pbase)
        #expect(damaged?.code == .invalidAdapter && damaged?.message.contains(scratch.path) == false)
        #expect(await failure(rooted(), "style", .pbase)?.code == .invalidRequest)
    }

    // MARK: From a hub

    private final class ManualClock: Sendable {
        private let instant = Mutex(ContinuousClock.now)
        var now: ContinuousClock.Instant { instant.withLock { $0 } }
        func advance(_ duration: Duration) { instant.withLock { $0 += duration } }
    }

    private let clock = ManualClock()

    private func fetcher(
        _ hub: LoopbackHub, token: String? = nil, limits: AdapterCacheLimits = AdapterCacheLimits(),
        onNote: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> AdapterFetcher {
        var client = try HubClient(endpoint: hub.endpoint, token: token)
        client.pause = { _, _ in sched_yield() }
        let clock = clock
        return AdapterFetcher(
            client: client, cache: scratch.path + "/cache", limits: limits, onNote: onNote
        ) { clock.now }
    }

    private func locator(_ fetcher: AdapterFetcher) -> AdapterLocator {
        AdapterLocator(root: nil, allowsAnyPath: false, registry: nil, fetcher: fetcher)
    }

    private func weights(_ location: AdapterLocation) throws -> [UInt8]? {
        try FileSystem.read(location.folder + "/adapter_model.safetensors", limit: 1 << 20)
    }

    @Test func repositoryIsFetchedOnceAndThenServedFromTheCache() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let locator = try locator(fetcher(hub))
        let first = try await locator.locate("acme/style", source: .hub, token: nil)
        #expect(try weights(first) == TinyAdapter.weights())
        let requestCount = hub.requests.count
        #expect(try await locator.locate("acme/style", source: .hub, token: nil) == first)
        #expect(hub.requests.count == requestCount)
    }

    @Test func newCommitIsSeenAfterAMinuteAndTheOldOneStaysForItsReaders() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let locator = try locator(fetcher(hub))
        let old = try await locator.locate("acme/style", source: .hub, token: nil)
        hub.change(files: TinyAdapter.hubFiles(value: 2), commit: String(repeating: "b", count: 40))
        clock.advance(.seconds(59))
        #expect(try await locator.locate("acme/style", source: .hub, token: nil) == old)
        clock.advance(.seconds(2))
        let new = try await locator.locate("acme/style", source: .hub, token: nil)
        #expect(new.revision == String(repeating: "b", count: 40))
        #expect(try weights(new) == TinyAdapter.weights(2))
        #expect(try weights(old) == TinyAdapter.weights())
    }

    @Test func tokenThatCannotSeeARepositoryGetsNothingOfWhatAnotherFetched() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        hub.admit(["first", "second"])
        let locator = try locator(fetcher(hub))
        let first = try await locator.locate("acme/style", source: .hub, token: "first")
        for token in [nil, "", "other", "firs"] {
            #expect(await failure(locator, "acme/style", .hub, token: token)?.code == .notFound, "\(token ?? "none")")
        }
        #expect(try await locator.locate("acme/style", source: .hub, token: "second").folder != first.folder)
    }

    @Test func withdrawnAccessIsSeenAfterAMinuteThoughTheCacheHasACopy() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        hub.admit(["first"])
        let locator = try locator(fetcher(hub))
        _ = try await locator.locate("acme/style", source: .hub, token: "first")
        hub.admit([])
        clock.advance(.seconds(61))
        #expect(await failure(locator, "acme/style", .hub, token: "first")?.code == .notFound)
    }

    @Test func copyIsServedToItsTokenAloneWhileTheHubIsAway() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        let fetcher = try fetcher(hub)
        let first = try await locator(fetcher).locate("acme/style", source: .hub, token: "first")
        hub.stop()
        clock.advance(.seconds(61))
        #expect(try await locator(fetcher).locate("acme/style", source: .hub, token: "first") == first)
        let restarted = try locator(self.fetcher(hub))
        #expect(try await restarted.locate("acme/style", source: .hub, token: "first") == first)
        #expect(await failure(restarted, "acme/style", .hub, token: "second")?.code == .unavailable)
        #expect(await failure(restarted, "acme/other", .hub, token: "first")?.code == .unavailable)
    }

    @Test func commitThatIsHereIsServedByItsNumberWhileTheHubIsAway() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        let first = try await locator(fetcher(hub)).locate("acme/style", source: .hub, token: nil)
        let commit = try #require(first.revision)
        hub.stop()
        let restarted = try locator(fetcher(hub))
        #expect(try await restarted.locate("acme/style@\(commit)", source: .hub, token: nil) == first)
        let other = String(repeating: "c", count: 40)
        #expect(await failure(restarted, "acme/style@\(other)", .hub)?.code == .unavailable)
        #expect(await failure(restarted, "acme/other@\(commit)", .hub)?.code == .unavailable)
        #expect(await failure(restarted, "acme/style@\(commit)", .hub, token: "other")?.code == .unavailable)
    }

    @Test func copyOfATokenThatLostItsRightIsGoneBeforeTheHubIs() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        hub.admit(["first"])
        let fetcher = try fetcher(hub)
        let location = try await locator(fetcher).locate("acme/style", source: .hub, token: "first")
        hub.admit([])
        clock.advance(.seconds(61))
        #expect(await failure(locator(fetcher), "acme/style", .hub, token: "first")?.code == .notFound)
        #expect(!FileSystem.isDirectory(location.folder))
        hub.stop()
        clock.advance(.seconds(61))
        #expect(await failure(locator(fetcher), "acme/style", .hub, token: "first")?.code == .unavailable)
    }

    @Test func useOfACopyWhileTheHubIsAwayIsSaidOnce() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        let first = try await locator(fetcher(hub)).locate("acme/style", source: .hub, token: nil)
        let notes = Mutex<[String]>([])
        let fetcher = try fetcher(hub) { note in notes.withLock { $0.append(note) } }
        hub.stop()
        for _ in 0..<3 {
            #expect(try await locator(fetcher).locate("acme/style", source: .hub, token: nil) == first)
        }
        let said = notes.withLock { $0 }
        #expect(said.count == 1 && said[0].contains("acme/style") && said[0].contains("copy"))
    }

    @Test func adapterOverTheLimitIsRefusedBeforeTheFirstByte() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        var limits = AdapterCacheLimits()
        limits.adapterBytes = 200
        let error = await failure(locator(try fetcher(hub, limits: limits)), "acme/style", .hub)
        #expect(error?.code == .unsupported && error?.message.contains("200 B") == true)
        #expect(hub.fileRequests.isEmpty)
    }

    @Test func whatWasUsedLongestAgoMakesRoomForWhatIsNew() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        func home(_ folder: String) -> String {
            String(folder.prefix(upTo: folder.lastIndex(of: "/") ?? folder.endIndex))
        }
        var folders = [try await locator(fetcher(hub)).locate("a/one", source: .hub, token: nil).folder]
        try AdapterCacheSpace.setUse(of: home(folders[0]), seconds: 1000)
        var limits = AdapterCacheLimits()
        limits.cacheBytes = AdapterCacheSpace.bytes(in: home(folders[0])) * 5 / 2
        let locator = try locator(fetcher(hub, limits: limits))
        for (order, id) in ["a/two", "a/three"].enumerated() {
            let folder = try await locator.locate(id, source: .hub, token: nil).folder
            folders.append(folder)
            // File times are of the real clock: told apart by hand.
            try AdapterCacheSpace.setUse(of: home(folder), seconds: 1001 + order)
            clock.advance(.seconds(61))
        }
        #expect(folders.map(FileSystem.isDirectory) == [false, true, true])
        #expect(try await locator.locate("a/one", source: .hub, token: nil).folder == folders[0])
        #expect(folders.map(FileSystem.isDirectory) == [true, false, true])
    }

    @Test func whatIsInUseStaysThoughTheCacheIsFull() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        var limits = AdapterCacheLimits()
        limits.cacheBytes = 1
        let locator = try locator(fetcher(hub, limits: limits))
        let first = try await locator.locate("a/one", source: .hub, token: nil)
        let second = try await locator.locate("a/two", source: .hub, token: nil)
        #expect(try weights(first) != nil && weights(second) != nil)
        clock.advance(.seconds(61))
        let third = try await locator.locate("a/three", source: .hub, token: nil)
        #expect(try weights(first) == nil && weights(second) == nil && weights(third) != nil)
    }

    @Test func manyWhoWantOneAdapterCauseOneFetch() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let fetcher = try fetcher(hub)
        let locator = locator(fetcher)
        // Files come when all have joined.
        hub.onEachFile { while fetcher.waiterCount < 20 { sched_yield() } }
        let folders = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 {
                group.addTask { try await locator.locate("acme/style", source: .hub, token: nil).folder }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(folders.count == 1)
        #expect(hub.requests.count == 3)
    }

    @Test func callerWhoGivesUpLeavesTheFetchToTheOthers() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let fetcher = try fetcher(hub)
        let locator = locator(fetcher)
        let release = ReleaseFlag()
        hub.onEachFile { release.wait() }
        let patient = Task { try await locator.locate("acme/style", source: .hub, token: nil) }
        let hasty = Task { await failure(locator, "acme/style", .hub) }
        while fetcher.waiterCount < 2 { await Task.yield() }
        hasty.cancel()
        #expect(await hasty.value?.code == .cancelled)
        release.open()
        #expect(try weights(await patient.value) == TinyAdapter.weights())
    }

    @Test func fetchThatAllHaveLeftIsStartedAnew() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let fetcher = try fetcher(hub)
        let locator = locator(fetcher)
        let release = ReleaseFlag()
        hub.onEachFile { release.wait() }
        let hasty = Task { await failure(locator, "acme/style", .hub) }
        while fetcher.waiterCount < 1 { await Task.yield() }
        hasty.cancel()
        #expect(await hasty.value?.code == .cancelled)
        release.open()
        #expect(try weights(await locator.locate("acme/style", source: .hub, token: nil)) == TinyAdapter.weights())
    }

    @Test func slowFetchesDoNotHoldUpAnother() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let release = ReleaseFlag()
        let isFirst = Mutex(true)
        hub.onEachFile {
            let waits = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            if waits { release.wait() }
        }
        let locator = try locator(fetcher(hub))
        let stuck = Task { try await locator.locate("acme/stuck", source: .hub, token: nil) }
        while hub.fileRequests.isEmpty { await Task.yield() }
        #expect(try weights(await locator.locate("acme/quick", source: .hub, token: nil)) == TinyAdapter.weights())
        release.open()
        _ = try await stuck.value
    }

    @Test func idsThatAreNoRepositoryOfTheHubAreRefusedWithoutARequest() async throws {
        let hub = try LoopbackHub(TinyAdapter.hubFiles())
        defer { hub.stop() }
        let locator = try locator(fetcher(hub))
        for id in [
            "http://127.0.0.1:1/acme/style", "https://evil.example/a/b", "s3://bucket/a", "file:///etc/passwd", "style",
            "a/b/c", "../style", "acme/..", "acme/style@../../x", "acme/style:file.gguf", "acme/st yle", "/etc",
        ] {
            #expect(await failure(locator, id, .hub)?.code == .invalidRequest, "\(id)")
        }
        #expect(await failure(locator, "acme/style", .hub, token: "a\r\nX: y")?.code == .invalidRequest)
        #expect(hub.requests.isEmpty)
        #expect(await failure(rooted(), "acme/style", .hub)?.code == .invalidRequest)
    }

    @Test func repositoryThatIsNoAdapterIsRefused() async throws {
        let hub = try LoopbackHub([LoopbackHub.File(path: "model.safetensors", content: [1])])
        defer { hub.stop() }
        let locator = try locator(fetcher(hub))
        #expect(await failure(locator, "acme/style", .hub)?.code == .unsupported)
    }

    /// A gate that threads of the hub wait at.
    private final class ReleaseFlag: Sendable {
        private let isOpen = Mutex(false)
        func wait() { while !isOpen.withLock({ $0 }) { sched_yield() } }
        func open() { isOpen.withLock { $0 = true } }
    }
}
