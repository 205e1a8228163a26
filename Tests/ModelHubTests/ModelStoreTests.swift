import Glibc
import Testing

@testable import ModelHub

@Suite struct ModelStoreTests {
    private let scratch: ScratchFolder
    private let store: ModelStore

    init() throws {
        scratch = try ScratchFolder()
        store = ModelStore(root: scratch.path + "/store")
    }

    private func write(_ text: String, _ path: String) throws {
        let path = scratch.path + "/" + path
        if let slash = path.lastIndex(of: "/") { try FileSystem.makeDirectories(String(path[..<slash])) }
        try FileSystem.writeAtomically(Array(text.utf8), to: path)
    }

    @Test func absentStoreIsEmpty() throws {
        #expect(try store.listing() == ModelStore.Listing())
        let error = #expect(throws: ModelHubError.self) { try store.inspect("tiny") }
        #expect(error?.code == .notFound)
        #expect(error?.hint?.contains("pbctl models pull") == true)
    }

    @Test func importedFileIsReferredToAndSurvivesRemoval() throws {
        try write("GGUF and more", "in/My Model (1).gguf")
        let path = scratch.path + "/in/My Model (1).gguf"
        let model = try store.importModel(at: path)
        #expect(model.name == "My-Model--1-" && model.path == path && model.isReference)
        #expect(try store.resolve(model.name) == path)
        #expect(try store.importModel(at: path).name == model.name)
        _ = try store.remove(model.name)
        #expect(FileSystem.isFile(path))
        #expect(try store.listing().models.isEmpty)
    }

    @Test func copiedFolderStandsAlone() throws {
        try write("{}", "in/tiny/config.json")
        try write("weights", "in/tiny/model.safetensors")
        try write("evil", "in/tiny/pytorch_model.bin")
        let model = try store.importModel(at: scratch.path + "/in/tiny", copying: true)
        try FileSystem.removeTree(scratch.path + "/in")
        #expect(model.bytes == 9)
        #expect(try store.inspect("tiny").path == store.root + "/tiny/copy")
        #expect(FileSystem.names(in: model.path) == ["config.json", "model.safetensors"])
        #expect(try store.remove("tiny") >= 9)
        #expect(FileSystem.names(in: store.root) == [".locks"])
    }

    @Test func takenNameIsRefused() throws {
        try write("GGUF1", "a/x.gguf")
        try write("GGUF2", "b/x.gguf")
        _ = try store.importModel(at: scratch.path + "/a/x.gguf")
        let error = #expect(throws: ModelHubError.self) { try store.importModel(at: scratch.path + "/b/x.gguf") }
        #expect(error?.message.contains("/a/x.gguf") == true)
        #expect(try store.importModel(at: scratch.path + "/b/x.gguf", as: "y").name == "y")
    }

    @Test func whatIsNoModelIsRefusedWithTheReason() throws {
        try write("text", "notes.txt")
        try write("x", "pickles/pytorch_model.bin")
        try write("{}", "pickles/config.json")
        try write("GGUF", "folder/a.gguf")
        for (path, word) in [("notes.txt", "GGUF"), ("pickles", "pickle"), ("folder", "a.gguf"), ("none", "No such")] {
            let error = #expect(throws: ModelHubError.self) {
                try store.importModel(at: scratch.path + "/" + path)
            }
            #expect(error?.description.contains(word) == true, "\(path)")
        }
    }

    @Test func damageOfOneModelLeavesTheOthersAlone() throws {
        try write("GGUF", "good.gguf")
        try write("GGUF", "gone.gguf")
        _ = try store.importModel(at: scratch.path + "/good.gguf")
        _ = try store.importModel(at: scratch.path + "/gone.gguf")
        unlink(scratch.path + "/gone.gguf")
        try write("{\"version\":1,", "store/broken/manifest.json")
        try write("\0\0", "store/zeros/manifest.json")
        try write(
            #"{"version":1,"name":"escape","source":"x","format":"gguf","location":"../../x","files":[]}"#,
            "store/escape/manifest.json")
        try write("half", "store/half/abc/model.gguf.part")
        let listing = try store.listing()
        #expect(listing.models.map(\.name) == ["good"])
        #expect(listing.damaged.map(\.name) == ["broken", "escape", "gone", "zeros"])
        #expect(listing.unfinished == ["half"])
        #expect(throws: ModelHubError.self) { try store.resolve("broken") }
        _ = try store.remove("broken")
        _ = try store.remove("half")
        #expect(try store.listing().damaged.count == 3)
    }

    @Test func modelThatIsBeingPulledIsNotRemoved() throws {
        try write("GGUF", "x.gguf")
        _ = try store.importModel(at: scratch.path + "/x.gguf")
        let lock = try store.lock("x")
        let error = #expect(throws: ModelHubError.self) { try store.remove("x") }
        #expect(error?.code == .busy)
        _ = consume lock
        _ = try store.remove("x")
    }

    @Test func namesCannotLeaveTheStore() throws {
        for name in ["..", "../x", "/etc", ".locks", "a/b", "", "-x", "a\nb", "é"] {
            #expect(throws: ModelHubError.self) { try store.remove(name) }
            #expect(throws: ModelHubError.self) { try store.inspect(name) }
        }
    }

    @Test func pathsResolveToThemselvesAndMistakesGetAHint() throws {
        try write("GGUF", "smollm2.gguf")
        let path = scratch.path + "/smollm2.gguf"
        #expect(try store.resolve(path) == path)
        _ = try store.importModel(at: path)
        let near = #expect(throws: ModelHubError.self) { try store.resolve("smolm2") }
        #expect(near?.hint == "did you mean smollm2?")
        let repository = #expect(throws: ModelHubError.self) { try store.resolve("acme/tiny") }
        #expect(repository?.hint?.contains("pbctl models pull hf:acme/tiny") == true)
    }
}
