import Glibc
import Synchronization
import Testing

@testable import ModelHub

func removeTree(_ path: String) throws { try FileSystem.removeTree(path) }

@Suite struct HubClientTests {
    private let weights = LoopbackHub.File(path: "model.safetensors", content: content(700_000, seed: 1))
    private let config = LoopbackHub.File(path: "config.json", content: Array("{}\n".utf8), isLarge: false)
    private let gguf = LoopbackHub.File(
        path: "tiny-Q4_K_M.gguf", content: Array("GGUF".utf8) + content(300_000, seed: 2))
    private let scratch: ScratchFolder
    private let store: ModelStore

    init() throws {
        scratch = try ScratchFolder()
        store = ModelStore(root: scratch.path + "/models")
    }

    private func client(_ hub: LoopbackHub, token: String? = nil) throws -> HubClient {
        var client = try HubClient(endpoint: hub.endpoint, token: token)
        client.pause = { _, _ in sched_yield() }
        return client
    }

    private func reference(_ text: String = "hf:acme/tiny") throws -> HubReference { try HubReference(parsing: text) }

    private func bytes(_ path: String) throws -> [UInt8]? { try FileSystem.read(path, limit: 1 << 24) }

    /// The error that a pull ends with.
    private func failure(_ client: HubClient, _ text: String = "hf:acme/tiny") async throws -> ModelHubError? {
        let reference = try reference(text)
        do throws(ModelHubError) {
            _ = try await client.pull(reference, into: store)
            return nil
        } catch { return error }
    }

    @Test func folderArrivesWholeAndIsListed() async throws {
        let pickle = LoopbackHub.File(path: "pytorch_model.bin", content: [1, 2, 3])
        let other = LoopbackHub.File(path: "onnx/model.safetensors", content: [1])
        let hub = try LoopbackHub([weights, config, pickle, other])
        defer { hub.stop() }
        let model = try await client(hub).pull(try reference(), into: store)
        #expect(model.name == "tiny")
        #expect(model.format == .safetensors)
        #expect(model.source == "hf:acme/tiny")
        #expect(Set(model.files.map(\.path)) == ["model.safetensors", "config.json"])
        #expect(try bytes(model.path + "/model.safetensors") == weights.content)
        #expect(try store.listing().models == [model])
        #expect(try store.resolve("tiny") == model.path)
        #expect(try store.resolve("hf:acme/tiny") == model.path)
        #expect(FileSystem.names(in: model.path)?.contains { $0.hasSuffix(".part") } == false)
    }

    @Test func oneFileIsPulledByNameAndByTag() async throws {
        let q8 = LoopbackHub.File(path: "tiny-Q8_0.gguf", content: Array("GGUF8".utf8))
        let hub = try LoopbackHub([gguf, q8, config])
        defer { hub.stop() }
        let byTag = try await client(hub).pull(try reference("hf:acme/tiny:q8_0"), into: store)
        #expect(byTag.name == "tiny-Q8_0")
        #expect(byTag.source == "hf:acme/tiny:tiny-Q8_0.gguf")
        let preferred = try await client(hub).pull(try reference(), into: store)
        #expect(preferred.path.hasSuffix("/tiny-Q4_K_M.gguf"))
        #expect(try bytes(preferred.path) == gguf.content)
        #expect(try store.listing().models.count == 2)
    }

    @Test func hubThatDiesHalfWayIsAskedForTheRest() async throws {
        let hub = try LoopbackHub([gguf], faults: [.dies(afterBytes: 100_000), .dies(afterBytes: 50_000)])
        defer { hub.stop() }
        let events = Mutex<[PullEvent]>([])
        let model = try await client(hub).pull(try reference(), into: store) { event in
            events.withLock { $0.append(event) }
        }
        #expect(try bytes(model.path) == gguf.content)
        #expect(hub.fileRequests.map { $0.fields["range"] } == [nil, "bytes=100000-", "bytes=150000-"])
        let total = Int64(gguf.content.count)
        #expect(events.withLock { $0.contains(.progress(completedBytes: total, totalBytes: total)) })
    }

    @Test func hubThatKeepsDyingEndsThePullAndTheNextOneResumes() async throws {
        let hub = try LoopbackHub(
            [gguf], faults: [.dies(afterBytes: 1000)] + Array(repeating: .dies(afterBytes: 0), count: 5))
        defer { hub.stop() }
        let error = try await failure(try client(hub))
        #expect(error?.code == .unreachable)
        #expect(error?.isRetryable == true)
        let listing = try store.listing()
        #expect(listing.models.isEmpty && listing.unfinished == ["tiny-Q4_K_M"])
        #expect(throws: ModelHubError.self) { try store.inspect("tiny-Q4_K_M") }
        let events = Mutex<[PullEvent]>([])
        let model = try await client(hub).pull(try reference(), into: store) { event in
            events.withLock { $0.append(event) }
        }
        #expect(try bytes(model.path) == gguf.content)
        let size = Int64(gguf.content.count)
        #expect(events.withLock { $0.contains(.file(gguf.path, size: size, resumedFrom: 1000)) })
        #expect(hub.fileRequests.last?.fields["range"] == "bytes=1000-")
    }

    @Test func wholeFileInAnswerToARangeStartsAgain() async throws {
        let hub = try LoopbackHub([gguf], faults: [.dies(afterBytes: 1000), .ignoresRange])
        defer { hub.stop() }
        let model = try await client(hub).pull(try reference(), into: store)
        #expect(try bytes(model.path) == gguf.content)
    }

    @Test func unsatisfiableRangeStartsAgain() async throws {
        let hub = try LoopbackHub([gguf], faults: [.dies(afterBytes: 1000), .status(416, [])])
        defer { hub.stop() }
        let model = try await client(hub).pull(try reference(), into: store)
        #expect(try bytes(model.path) == gguf.content)
    }

    @Test func wrongContentIsRemovedAndNamed() async throws {
        var lie = gguf
        lie.announcedSHA256 = String(repeating: "ab", count: 32)
        let hub = try LoopbackHub([lie])
        defer { hub.stop() }
        let error = try await failure(try client(hub))
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains(gguf.path) == true)
        #expect(try store.listing().models.isEmpty)
        let folder = store.folder(of: "tiny-Q4_K_M") + "/0123456789abcdef0123456789abcdef01234567"
        #expect(FileSystem.names(in: folder) == [])
    }

    @Test func damagedLeftoverIsFetchedAgainByItself() async throws {
        let hub = try LoopbackHub([gguf])
        defer { hub.stop() }
        let folder = store.folder(of: "tiny-Q4_K_M") + "/0123456789abcdef0123456789abcdef01234567"
        try FileSystem.makeDirectories(folder)
        try FileSystem.writeAtomically([9, 9, 9], to: folder + "/" + gguf.path + ".part")
        let model = try await client(hub).pull(try reference(), into: store)
        #expect(try bytes(model.path) == gguf.content)
    }

    @Test func lengthOtherThanAnnouncedIsAnError() async throws {
        for length in [gguf.content.count - 5, gguf.content.count + 5] {
            let hub = try LoopbackHub([gguf], faults: [.wrongLength(length)])
            defer { hub.stop() }
            #expect(try await failure(try client(hub))?.code == .hubFailed)
        }
    }

    @Test func gatedModelSaysHowToGetAccess() async throws {
        for (status, token) in [(401, nil), (403, "secret")] {
            let hub = try LoopbackHub([gguf], listFaults: [.status(status, [])])
            defer { hub.stop() }
            let error = try await failure(try client(hub, token: token))
            #expect(error?.code == .notAllowed)
            #expect(error?.hint?.contains(token == nil ? "HF_TOKEN" : "terms") == true)
            #expect(error?.description.contains("secret") == false)
        }
    }

    @Test func absentModelIsNotFoundAtOnce() async throws {
        let hub = try LoopbackHub([gguf], listFaults: [.status(404, [])])
        defer { hub.stop() }
        #expect(try await failure(try client(hub))?.code == .notFound)
        #expect(hub.requests.count == 1)
        #expect(try await failure(try client(hub), "hf:acme/tiny:nothing.gguf")?.code == .notFound)
    }

    @Test func busyHubIsAskedAgainAfterTheTimeItNames() async throws {
        let hub = try LoopbackHub(
            [gguf], faults: [.status(503, [])], listFaults: [.status(429, ["Retry-After: 7"]), .status(500, [])])
        defer { hub.stop() }
        let waits = Mutex<[Duration]>([])
        var client = try client(hub)
        client.pause = { duration, _ in waits.withLock { $0.append(duration) } }
        _ = try await client.pull(try reference(), into: store)
        #expect(waits.withLock { $0 } == [.seconds(7), .milliseconds(1000), .milliseconds(500)])
    }

    @Test func tokenStaysWithTheEndpoint() async throws {
        let storage = try LoopbackHub([gguf])
        let hub = try LoopbackHub([gguf], faults: [.redirects(to: storage.endpoint)])
        defer {
            hub.stop()
            storage.stop()
        }
        let model = try await client(hub, token: "secret").pull(try reference(), into: store)
        #expect(try bytes(model.path) == gguf.content)
        #expect(hub.requests.allSatisfy { $0.fields["authorization"] == "Bearer secret" })
        #expect(storage.requests.count == 1)
        #expect(storage.requests.allSatisfy { $0.fields["authorization"] == nil })
    }

    @Test func redirectsLeadToHTTPOnlyAndEnd() async throws {
        for target in ["file:///etc/passwd?", "ftp://127.0.0.1", "gopher://127.0.0.1"] {
            let hub = try LoopbackHub([gguf], faults: [.redirects(to: target)])
            defer { hub.stop() }
            #expect(try await failure(try client(hub))?.code == .hubFailed, "\(target)")
        }
        let loop = try LoopbackHub([gguf], faults: Array(repeating: .redirects(to: ""), count: 40))
        defer { loop.stop() }
        #expect(try await failure(try client(loop))?.code == .hubFailed)
    }

    @Test func secondPullOfOneModelWaitsAndFindsItDone() async throws {
        let hub = try LoopbackHub([weights, config])
        defer { hub.stop() }
        let client = try client(hub)
        let reference = try reference()
        let store = store
        let models = try await withThrowingTaskGroup(of: StoredModel.self) { group in
            for _ in 0..<4 { group.addTask { try await client.pull(reference, into: store) } }
            return try await group.reduce(into: [StoredModel]()) { $0.append($1) }
        }
        #expect(models.count == 4 && Set(models.map(\.path)).count == 1)
        #expect(hub.fileRequests.count == 2)
    }

    @Test func cancelledPullKeepsWhatItHasAndIsNoModel() async throws {
        let hub = try LoopbackHub([config, weights])
        defer { hub.stop() }
        let flag = CancellationFlag()
        let reference = try reference()
        let client = try client(hub)
        do throws(ModelHubError) {
            _ = try await client.pull(reference, into: store, cancellation: flag) { event in
                if case .progress(let done, _) = event, done > 1000 { flag.cancel() }
            }
            Issue.record("the pull was not stopped")
        } catch {
            #expect(error.code == .cancelled)
        }
        #expect(try store.listing().models.isEmpty)
        let folder = store.folder(of: "tiny") + "/0123456789abcdef0123456789abcdef01234567"
        #expect(FileSystem.size(folder + "/model.safetensors.part") ?? 0 > 0)
        let model = try await client.pull(reference, into: store)
        #expect(try bytes(model.path + "/model.safetensors") == weights.content)
    }

    @Test func fullDiskIsSaidAndResumedFrom() async throws {
        let hub = try LoopbackHub([gguf])
        defer { hub.stop() }
        var full = try client(hub)
        let room = Mutex(120_000)
        full.writer = { file, bytes in
            let count = room.withLock { room in
                let count = min(room, bytes.count)
                room -= count
                return count
            }
            guard count > 0 else {
                errno = ENOSPC
                return -1
            }
            return write(file, bytes.baseAddress, count)
        }
        let error = try await failure(full)
        #expect(error?.code == .diskFull)
        #expect(error?.message.contains("No space left") == true)
        let model = try await client(hub).pull(try reference(), into: store)
        #expect(try bytes(model.path) == gguf.content)
        #expect(hub.fileRequests.last?.fields["range"] == "bytes=120000-")
    }

    @Test func tooSmallDiskIsToldBeforeTheFirstByte() async throws {
        let hub = try LoopbackHub([gguf])
        defer { hub.stop() }
        var small = try client(hub)
        small.freeBytes = { _ in 1000 }
        let error = try await failure(small)
        #expect(error?.code == .diskFull)
        #expect(error?.message.contains("300 kB") == true)
        #expect(hub.fileRequests.isEmpty)
    }

    @Test func folderThatCannotBeMadeIsNamed() async throws {
        let hub = try LoopbackHub([gguf])
        defer { hub.stop() }
        try FileSystem.writeAtomically([1], to: scratch.path + "/file")
        for root in [scratch.path + "/file/models", "/proc/pbctl/models"] {
            let reference = try reference()
            await #expect(throws: ModelHubError.self) {
                _ = try await client(hub).pull(reference, into: ModelStore(root: root))
            }
        }
        #expect(hub.requests.isEmpty)
    }

    @Test func newCommitReplacesTheOldAndReusesEqualFiles() async throws {
        let hub = try LoopbackHub([weights, config])
        defer { hub.stop() }
        let first = try await client(hub).pull(try reference(), into: store)
        let unchanged = try await client(hub).pull(try reference(), into: store)
        #expect(unchanged == first)
        #expect(hub.fileRequests.count == 2)
        var changed = config
        changed.content = Array("{\"a\":1}\n".utf8)
        hub.change(files: [weights, changed], commit: "fedcba9876543210fedcba9876543210fedcba98")
        let second = try await client(hub).pull(try reference(), into: store)
        #expect(try bytes(second.path + "/config.json") == changed.content)
        #expect(try bytes(second.path + "/model.safetensors") == weights.content)
        #expect(hub.fileRequests.count == 3)
        #expect(!FileSystem.isDirectory(first.path))
    }

    @Test func otherModelOfTheSameNameGetsItsOwnersName() async throws {
        let hub = try LoopbackHub([weights, config])
        defer { hub.stop() }
        _ = try await client(hub).pull(try reference("hf:acme/tiny"), into: store)
        let other = try await client(hub).pull(try reference("hf:umbrella/tiny"), into: store)
        #expect(other.name == "umbrella-tiny")
    }

    @Test func listThatIsNoListIsAnError() async throws {
        for body in ["", "[]", "{\"sha\":\"../x\",\"siblings\":[]}", "{\"sha\":\"abc\"}", "<html>"] {
            #expect(throws: ModelHubError.self) { try HubSnapshot(parsing: Array(body.utf8)) }
        }
        let evil =
            #"{"sha":"abc","siblings":[{"rfilename":"../../x.gguf"},{"rfilename":"/x.gguf"},{"rfilename":"a/b.gguf"}]}"#
        #expect(try HubSnapshot(parsing: Array(evil.utf8)).files.map(\.path) == ["a/b.gguf"])
    }

    @Test func environmentGivesEndpointAndToken() throws {
        try FileSystem.makeDirectories(scratch.path + "/.cache/huggingface")
        try FileSystem.writeAtomically(Array("from-file\n".utf8), to: scratch.path + "/.cache/huggingface/token")
        var environment = ["HOME": scratch.path, "HF_ENDPOINT": "http://127.0.0.1:1/"]
        #expect(try HubClient { environment[$0] }.token == "from-file")
        #expect(try HubClient { environment[$0] }.endpoint == "http://127.0.0.1:1")
        environment["HF_TOKEN"] = "from-environment"
        #expect(try HubClient { environment[$0] }.token == "from-environment")
        environment["HF_TOKEN"] = "bad\r\nX-Evil: 1"
        #expect(throws: ModelHubError.self) { try HubClient { environment[$0] } }
        environment["HF_ENDPOINT"] = "file:///etc"
        #expect(throws: ModelHubError.self) { try HubClient { environment[$0] } }
    }
}
