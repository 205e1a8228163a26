import BlockingThreads
import Glibc
import Testing

@testable import ModelHub

@Suite struct AdapterStoreTests {
    private let scratch: ScratchFolder
    private let store: AdapterStore

    init() throws {
        scratch = try ScratchFolder()
        store = AdapterStore(root: scratch.path + "/adapters")
    }

    private func adapter(_ name: String, value: Float = 0.5) throws -> String {
        let path = scratch.path + "/in/" + name
        try TinyAdapter.write(to: path, value: value)
        return path
    }

    private func bytes(_ path: String) throws -> [UInt8]? { try FileSystem.read(path, limit: 1 << 20) }

    @Test func absentRegistryIsEmpty() throws {
        #expect(try store.listing() == AdapterStore.Listing())
        let error = #expect(throws: ModelHubError.self) { try store.resolve("tiny") }
        #expect(error?.code == .notFound)
        #expect(error?.hint?.contains("pbctl adapters add") == true)
    }

    @Test func additionsBecomeVersionsThatStandAlone() throws {
        let path = try adapter("style")
        let first = try store.add(folder: path)
        #expect(first.id == "style/1" && first.source == path && first.baseModel == "acme/tiny")
        try TinyAdapter.write(to: path, value: 2)
        let second = try store.add(folder: path)
        try FileSystem.removeTree(path)
        #expect(second.id == "style/2")
        #expect(try store.resolve("style") == second)
        #expect(try store.resolve("style/1") == first)
        #expect(try bytes(first.folder + "/adapter_model.safetensors") == TinyAdapter.weights(0.5))
        #expect(try bytes(second.folder + "/adapter_model.safetensors") == TinyAdapter.weights(2))
        #expect(try store.listing().adapters == [first, second])
    }

    @Test func onlyFilesOfAnAdapterAreCopied() throws {
        let path = try adapter("style")
        for name in ["optimizer.pt", "training_args.bin", "README.md", "tokenizer.json", "tokenizer.bin"] {
            try FileSystem.writeAtomically([1], to: path + "/" + name)
        }
        let adapter = try store.add(folder: path)
        #expect(
            FileSystem.names(in: adapter.folder) == [
                "adapter_config.json", "adapter_model.safetensors", "manifest.json", "tokenizer.json",
            ])
    }

    @Test func tenthVersionIsNewerThanTheNinth() throws {
        let path = try adapter("style")
        for _ in 0..<10 { _ = try store.add(folder: path) }
        #expect(try store.resolve("style").version == 10)
        #expect(try store.listing().adapters.map(\.version) == Array(1...10))
    }

    @Test func numberOfARemovedVersionIsNotGivenAgain() throws {
        let path = try adapter("style")
        _ = try store.add(folder: path)
        _ = try store.add(folder: path)
        #expect(try store.remove("style/2") > 0)
        #expect(try store.resolve("style").version == 1)
        #expect(try store.add(folder: path).version == 3)
        _ = try store.remove("style")
        #expect(try store.listing() == AdapterStore.Listing())
        #expect(try store.add(folder: path).version == 1)
    }

    @Test func whatIsNoAdapterIsRefusedWithTheReason() throws {
        let path = scratch.path + "/in/bad"
        try FileSystem.makeDirectories(path)
        #expect(throws: ModelHubError.self) { try store.add(folder: path + "/none") }
        for (file, content, word) in [
            ("notes.txt", "x", "adapter_config.json"), ("adapter_config.json", "[1", "adapter_model.safetensors"),
            ("adapter_model.bin", "x", "pickle"), ("adapter_model.safetensors", "x", "JSON"),
        ] {
            try FileSystem.writeAtomically(Array(content.utf8), to: path + "/" + file)
            let error = #expect(throws: ModelHubError.self) { try store.add(folder: path) }
            #expect(error?.code == .unsupported)
            #expect(error?.description.contains(word) == true, "\(file): \(error?.description ?? "")")
        }
        #expect(try store.listing() == AdapterStore.Listing())
        #expect(!FileSystem.isDirectory(store.root + "/bad"))
    }

    @Test func refusedOrInterruptedAdditionLeavesNoTrace() throws {
        let path = try adapter("style")
        let refusal = ModelHubError(.unsupported, "no")
        #expect(throws: refusal) {
            try store.add(folder: path) { (folder) throws(ModelHubError) in
                guard FileSystem.names(in: folder)?.count == 2 else { return }
                throw refusal
            }
        }
        let flag = CancellationFlag()
        flag.cancel()
        #expect(throws: ModelHubError.self) { try store.add(folder: path, cancellation: flag) }
        #expect(try store.listing() == AdapterStore.Listing())
        #expect(FileSystem.names(in: store.root) == [".locks"])
    }

    @Test func draftOfAProcessThatDiedIsNoVersionAndDoesNoHarm() throws {
        let path = try adapter("style")
        _ = try store.add(folder: path)
        try FileSystem.makeDirectories(store.root + "/style/.draft")
        try FileSystem.writeAtomically([1], to: store.root + "/style/.draft/adapter_model.safetensors.part")
        #expect(try store.listing().adapters.map(\.id) == ["style/1"])
        #expect(try store.listing().damaged.isEmpty)
        let second = try store.add(folder: path)
        #expect(second.id == "style/2" && FileSystem.names(in: second.folder)?.count == 3)
    }

    @Test func damageOfOneVersionLeavesTheOthersAlone() throws {
        let path = try adapter("style")
        let versions = try (0..<5).map { _ in try store.add(folder: path) }
        unlink(versions[1].folder + "/manifest.json")
        unlink(versions[2].folder + "/adapter_model.safetensors")
        let escape =
            #"{"manifest_version":1,"name":"style","version":4,"source":"x","files":["#
            + #"{"path":"adapter_config.json","size":1,"sha256":"0"},{"path":"../../../in","size":1,"sha256":"0"}]}"#
        try FileSystem.writeAtomically(Array(escape.utf8), to: versions[3].folder + "/manifest.json")
        try FileSystem.writeAtomically([0, 0], to: versions[4].folder + "/manifest.json")
        let listing = try store.listing()
        #expect(listing.adapters == [versions[0]])
        #expect(listing.damaged.map(\.name) == ["style/2", "style/3", "style/4", "style/5"])
        // An older version is never given in place of a damaged newest one.
        let error = #expect(throws: ModelHubError.self) { try store.resolve("style") }
        #expect(error?.code == .corrupt)
        for version in 2...5 { _ = try store.remove("style/\(version)") }
        #expect(try store.resolve("style") == versions[0])
    }

    @Test func changedContentOfTheSameSizeIsFound() throws {
        let adapter = try store.add(folder: try adapter("style"))
        try store.verify(adapter)
        try FileSystem.writeAtomically(TinyAdapter.weights(3), to: adapter.folder + "/adapter_model.safetensors")
        let error = #expect(throws: ModelHubError.self) { try store.verify(adapter) }
        #expect(error?.code == .corrupt && error?.message.contains("adapter_model.safetensors") == true)
    }

    @Test func namesCannotLeaveTheRegistry() throws {
        _ = try store.add(folder: try adapter("style"))
        for id in [
            "..", "../x", "/etc", ".locks", "style/..", "style/0", "style/01", "style/-1", "style/1/..", "style/",
            "", "-x", "a\nb", "é", "style/99999999999999999999", "style//1",
        ] {
            #expect(throws: ModelHubError.self, "\(id)") { try store.remove(id) }
            #expect(throws: ModelHubError.self, "\(id)") { try store.resolve(id) }
        }
        #expect(throws: ModelHubError.self) { try store.add(folder: scratch.path + "/in/style", as: "../out") }
        #expect(!FileSystem.isDirectory(scratch.path + "/out"))
    }

    @Test func mistakesGetAHint() throws {
        _ = try store.add(folder: try adapter("style"))
        #expect(#expect(throws: ModelHubError.self) { try store.resolve("stile") }?.hint == "did you mean style?")
        #expect(#expect(throws: ModelHubError.self) { try store.resolve("style/7") }?.hint == "there is style/1")
    }

    @Test func additionsAtTheSameTimeGetVersionsOfTheirOwn() async throws {
        let path = try adapter("style")
        let store = store
        let versions = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let result = await BlockingThread.run { Result { try store.add(folder: path).version } }
                    return try result.get()
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(versions.sorted() == Array(1...6))
        #expect(try store.listing().adapters.count == 6)
    }

    @Test func nameThatIsBeingAddedToIsNotRemoved() throws {
        _ = try store.add(folder: try adapter("style"))
        let lock = try store.lock("style")
        #expect(#expect(throws: ModelHubError.self) { try store.remove("style/1") }?.code == .busy)
        _ = consume lock
        _ = try store.remove("style/1")
    }

    @Test func repositoryOfAHubBecomesAVersionWithoutItsPickles() async throws {
        let more = [
            LoopbackHub.File(path: "optimizer.pt", content: [1]), LoopbackHub.File(path: "model.gguf", content: [1]),
            LoopbackHub.File(path: "tokenizer.json", content: Array("{}".utf8), isLarge: false),
        ]
        let hub = try LoopbackHub(TinyAdapter.hubFiles() + more, faults: [.dies(afterBytes: 5)])
        defer { hub.stop() }
        var client = try HubClient(endpoint: hub.endpoint)
        client.pause = { _, _ in sched_yield() }
        let adapter = try await store.add(try HubReference(parsing: "hf:acme/style"), from: client)
        #expect(adapter.id == "style/1" && adapter.source == "hf:acme/style" && adapter.commit?.count == 40)
        #expect(adapter.files.map(\.path) == ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"])
        #expect(try store.resolve("style") == adapter)
        try store.verify(adapter)
        #expect(FileSystem.names(in: store.root + "/.pulls") == [".locks"])
    }

    @Test func repositoryWithoutSafetensorsIsRefused() async throws {
        let hub = try LoopbackHub([
            LoopbackHub.File(path: "adapter_config.json", content: TinyAdapter.config(), isLarge: false),
            LoopbackHub.File(path: "adapter_model.bin", content: [1]),
        ])
        defer { hub.stop() }
        let client = try HubClient(endpoint: hub.endpoint)
        let reference = try HubReference(parsing: "acme/style")
        let error = await #expect(throws: ModelHubError.self) { try await store.add(reference, from: client) }
        #expect(error?.message.contains("pickle") == true)
        #expect(hub.fileRequests.isEmpty)
    }
}
