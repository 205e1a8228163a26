import Foundation
import ServingAdapters
import ServingEngine
import ServingRuntime
import ServingTensors
import Synchronization
import Testing

/// Finds adapters in one folder; ids in `held` wait until they are let go.
private final class FolderLocator: AdapterLocating {
    private let root: String
    private let state = Mutex((held: Set<String>(), asked: [String: Int](), tokens: [String: String]()))

    init(root: String) { self.root = root }

    func hold(_ id: String) { state.withLock { _ = $0.held.insert(id) } }
    func letGo(_ id: String) { state.withLock { _ = $0.held.remove(id) } }
    func require(_ token: String, for id: String) { state.withLock { $0.tokens[id] = token } }
    func isAsked(_ id: String) -> Bool { state.withLock { $0.asked[id, default: 0] > 0 } }

    func locate(_ id: String, source: AdapterSource, token: String?) async throws(AdapterError) -> AdapterLocation {
        state.withLock { $0.asked[id, default: 0] += 1 }
        while state.withLock({ $0.held.contains(id) }) { await Task.yield() }
        let needed = state.withLock { $0.tokens[id] }
        guard needed == nil || needed == token else { throw AdapterError(.notFound, "adapter \"\(id)\": not found") }
        guard FileManager.default.fileExists(atPath: root + "/" + id) else {
            throw AdapterError(.notFound, "adapter \"\(id)\": not found")
        }
        return AdapterLocation(folder: root + "/" + id)
    }
}

/// A tiny model with a folder of adapters that tests may change.
private final class LibraryFixture: Sendable {
    let model: LocalModel
    let locator: FolderLocator
    let root: String

    init(deviceBytes: Int? = nil, hostBytes: Int? = nil, cycleTime: Duration = .seconds(2)) throws {
        root = NSTemporaryDirectory() + "pbctl-library-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        locator = FolderLocator(root: root)
        var options = LocalModel.Options(contextLength: 64, threadCount: 1, float32: true)
        options.adapters = AdapterLibrary.Options(
            locator: locator, deviceBytes: deviceBytes, hostBytes: hostBytes, cycleTime: cycleTime)
        model = try LocalModel(path: try #require(AdapterFixture.modelPath("llama")), options: options)
        for name in ["r8-all", "r8-all-second", "r16-rslora", "r13-odd"] { try put(name, as: name) }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// Puts a copy of a fixture's adapter under an id, in place of what was there.
    func put(_ name: String, as id: String) throws {
        let target = root + "/" + id
        try? FileManager.default.removeItem(atPath: target)
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            try FileManager.default.copyItem(
                atPath: AdapterFixture.committedFolder + "/\(name)/\(file)", toPath: target + "/" + file)
        }
    }

    func acquire(_ id: String, token: String? = nil) async throws -> AdapterLease {
        try await model.adapters.acquire(AdapterSelection(.single(id), source: .hub, token: token))
    }

    /// Why an adapter can't be had; nil where it can.
    func refusal(_ id: String, token: String? = nil) async -> AdapterError? {
        do {
            _ = try await model.adapters.acquire(AdapterSelection(.single(id), source: .hub, token: token))
            return nil
        } catch {
            return error
        }
    }

    func answer(_ lease: AdapterLease?) async throws -> [TokenID] {
        var request = GenerationRequest(
            id: UUID().uuidString, promptTokenIDs: [151, 9, 163, 192, 311, 258], sampling: .greedy)
        request.maxTokenCount = 12
        lease?.apply(to: &request)
        let output = await GenerationOutput(try model.engine.submit(request))
        return output.samples.first?.tokenIDs ?? []
    }
}

@Suite struct AdapterLibraryTests {
    @Test func aSlowDownloadHoldsUpNobodyElse() async throws {
        let fixture = try LibraryFixture()
        fixture.locator.hold("r8-all")
        let (adapters, locator) = (fixture.model.adapters, fixture.locator)
        let slow = Task { try await adapters.acquire(AdapterSelection(.single("r8-all"), source: .hub)).key }
        while !locator.isAsked("r8-all") { await Task.yield() }
        _ = try await fixture.acquire("r16-rslora")
        _ = try await fixture.acquire("r13-odd")
        locator.letGo("r8-all")
        _ = try await slow.value
    }

    @Test func manyWhoAskAtOnceWaitForOneLoad() async throws {
        let fixture = try LibraryFixture()
        let adapters = fixture.model.adapters
        try await withThrowingTaskGroup(of: AdapterKey.self) { group in
            for _ in 0..<64 {
                group.addTask { try await adapters.acquire(AdapterSelection(.single("r8-all"), source: .hub)).key }
            }
            var keys: Set<AdapterKey> = []
            for try await key in group { keys.insert(key) }
            #expect(keys.count == 1)
        }
        #expect(adapters.statistics().loadCount == 1)
        #expect(adapters.statistics().deviceCount == 1)
    }

    @Test func changedWeightsUnderOneIDAreSeen() async throws {
        let fixture = try LibraryFixture()
        try fixture.put("r8-all", as: "x")
        let before = try await fixture.acquire("x")
        let old = try await fixture.answer(before)
        try fixture.put("r16-rslora", as: "x")
        let after = try await fixture.acquire("x")
        #expect(before.key != after.key)
        let new = try await fixture.answer(after)
        #expect(new != old)
        #expect(try await fixture.answer(before) == old, "a lease keeps the weights that it was given")
        let direct = try await fixture.acquire("r16-rslora")
        #expect(try await fixture.answer(direct) == new)
    }

    @Test func anAdapterDeletedWhileInUseGoesOnUntilItsRequestsEnd() async throws {
        let fixture = try LibraryFixture()
        try fixture.put("r8-all", as: "x")
        let lease = try await fixture.acquire("x")
        let answer = try await fixture.answer(lease)
        try FileManager.default.removeItem(atPath: fixture.root + "/x")
        #expect(try await fixture.answer(lease) == answer)
        #expect(await fixture.refusal("x") != nil)
    }

    @Test func whatOneTokenOpenedStaysClosedToOthers() async throws {
        let fixture = try LibraryFixture()
        fixture.locator.require("secret", for: "r8-all")
        let owner = try await fixture.acquire("r8-all", token: "secret")
        for token in [nil, "other"] {
            #expect(await fixture.refusal("r8-all", token: token) != nil)
        }
        fixture.locator.require("second", for: "r8-all")
        let other = try await fixture.acquire("r8-all", token: "second")
        #expect(owner.key != other.key, "tenants share no prefix of the cache")
        #expect(!owner.key.name.contains("secret"))
    }

    @Test func failedLoadsLeaveNothingAndMayBeTriedAgain() async throws {
        let fixture = try LibraryFixture()
        for number in 0..<200 {
            #expect(await fixture.refusal("none-\(number)") != nil)
        }
        try fixture.put("r8-all", as: "broken")
        let path = fixture.root + "/broken/adapter_model.safetensors"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: path))
        #expect(await fixture.refusal("broken") != nil)
        #expect(fixture.model.adapters.statistics().hostCount == 0)
        #expect(fixture.model.adapters.statistics().deviceBytes == 0)
        try whole.write(to: URL(fileURLWithPath: path))
        _ = try await fixture.acquire("broken")
    }

    @Test func adaptersThatNobodyUsesMakeRoomAndComeBackTheSame() async throws {
        let probe = try LibraryFixture()
        let bytes = try await probe.acquire("r16-rslora").adapter.byteCount
        let fixture = try LibraryFixture(deviceBytes: bytes)
        let first = try await fixture.answer(try await fixture.acquire("r16-rslora"))
        for name in ["r8-all", "r13-odd", "r8-all-second", "r8-all"] { _ = try await fixture.acquire(name) }
        #expect(fixture.model.adapters.statistics().deviceBytes <= bytes)
        #expect(fixture.model.adapters.statistics().evictionCount > 0)
        #expect(try await fixture.answer(try await fixture.acquire("r16-rslora")) == first)
    }

    @Test func loadsWaitForRoomThatIsInUse() async throws {
        let probe = try LibraryFixture()
        let bytes = try await probe.acquire("r8-all").adapter.byteCount
        let fixture = try LibraryFixture(deviceBytes: bytes)
        var lease: AdapterLease? = try await fixture.acquire("r8-all")
        #expect(lease != nil)
        let adapters = fixture.model.adapters
        let next = Task { try await adapters.acquire(AdapterSelection(.single("r8-all-second"), source: .hub)).name }
        while adapters.statistics().loadingCount == 0 { await Task.yield() }
        #expect(adapters.statistics().deviceCount == 1)
        lease = nil
        #expect(try await next.value == "r8-all-second")
    }

    @Test func whatCanOnlyWaitForPinnedAdaptersIsRefused() async throws {
        let probe = try LibraryFixture()
        let bytes = try await probe.acquire("r8-all").adapter.byteCount
        let fixture = try LibraryFixture(deviceBytes: bytes)
        let pinned = try await fixture.model.adapters.pin(AdapterSelection(.single("r8-all"), source: .hub))
        let error = await fixture.refusal("r8-all-second")
        #expect(error?.code == .outOfMemory)
        #expect(try await fixture.acquire("r8-all").key == pinned.key)
    }

    @Test func whoGivesUpWaitingTakesNothingAlong() async throws {
        let fixture = try LibraryFixture()
        fixture.locator.hold("r8-all")
        let adapters = fixture.model.adapters
        let impatient = Task { try await adapters.acquire(AdapterSelection(.single("r8-all"), source: .hub)).name }
        while !fixture.locator.isAsked("r8-all") { await Task.yield() }
        impatient.cancel()
        fixture.locator.letGo("r8-all")
        _ = try? await impatient.value
        #expect(try await fixture.acquire("r8-all").name == "r8-all")
        for name in ["r13-odd", "r16-rslora"] { _ = try await fixture.acquire(name) }
    }

    @Test func eachSequenceOfABatchHasTheAnswerOfItsAdapterAlone() async throws {
        let fixture = try LibraryFixture()
        let names: [String?] = [nil, "r8-all", "r8-all-second", "r16-rslora", "r13-odd"]
        var alone: [String?: [TokenID]] = [:]
        var leases: [String?: AdapterLease] = [:]
        for name in names {
            if let name { leases[name] = try await fixture.acquire(name) }
            alone[name] = try await fixture.answer(leases[name])
        }
        #expect(Set(alone.values).count == names.count, "the adapters answer alike")
        let engine = fixture.model.engine
        let requests = (0..<40).map { index in
            var request = GenerationRequest(
                id: "batch-\(index)", promptTokenIDs: [151, 9, 163, 192, 311, 258], sampling: .greedy)
            request.maxTokenCount = 12
            leases[names[index % names.count]]?.apply(to: &request)
            return request
        }
        for (index, result) in await engine.generateAll(requests).enumerated() {
            #expect(try result.get().samples[0].tokenIDs == alone[names[index % names.count]], "row \(index)")
        }
    }

    @Test func anEmbeddingIsTheSameInOneStepAndInMany() async throws {
        let fixture = try LibraryFixture()
        let ids = (0..<40).map { TokenID(3 + $0 * 7 % 300) }
        let whole = try await fixture.model.embedding(of: ids)
        var options = LocalModel.Options(contextLength: 64, threadCount: 1, float32: true, maxBatchedTokens: 8)
        options.engine.maxPrefillChunk = 3
        let small = try LocalModel(path: try #require(AdapterFixture.modelPath("llama")), options: options)
        #expect(try await small.embedding(of: ids).map(\.bitPattern) == whole.map(\.bitPattern))
        let adapted = try await fixture.model.embedding(of: ids, adapter: try await fixture.acquire("r8-all"))
        #expect(adapted != whole)
        #expect(whole.count == 64)
    }

    @Test func aFileThatCanNeverFitIsNotRead() async throws {
        #expect(throws: RuntimeError.self) { try LibraryFixture(deviceBytes: 1000) }
        let fixture = try LibraryFixture(deviceBytes: 5400)
        let error = await fixture.refusal("r8-all")
        #expect(error?.code == .outOfMemory)
        #expect(fixture.model.adapters.statistics().hostCount == 0)
    }

    @Test func whatIsOnTheDeviceNeedsNoFileInMemory() async throws {
        let fixture = try LibraryFixture(hostBytes: 1)
        let first = try await fixture.acquire("r8-all")
        #expect(fixture.model.adapters.statistics().hostCount == 0)
        let second = try await fixture.acquire("r8-all")
        #expect(first.key == second.key)
        #expect(fixture.model.adapters.statistics().loadCount == 1)
    }

    @Test func manyDifferentAdaptersAtOnceAllCome() async throws {
        let fixture = try LibraryFixture(hostBytes: 1)
        for number in 0..<24 { try fixture.put(["r8-all", "r13-odd"][number % 2], as: "n\(number)") }
        let adapters = fixture.model.adapters
        try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<24 {
                group.addTask { try await adapters.acquire(AdapterSelection(.single("n\(number)"), source: .hub)).name }
            }
            var names: Set<String> = []
            for try await name in group { names.insert(name) }
            #expect(names.count == 24)
        }
    }
}
