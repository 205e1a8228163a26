import Glibc
import ServingModelFiles
import Testing

@Suite struct ModelSourceTests {
    private func gguf() throws -> [UInt8] { try GGUFWriter().bytes() }

    @Test func aFoldersOnlyGGUFFileIsFound() throws {
        let scratch = try Scratch()
        try scratch.write("README.md", "text")
        try scratch.write("config.json", "{}")
        try scratch.write("mmproj-x.gguf", gguf())
        let path = try scratch.write("m.gguf", gguf())
        #expect(try ModelSource.detect(path: scratch.path) == .gguf(path: path))
        try scratch.write("n.gguf", gguf())
        #expect(
            modelFileError(.ambiguous) { try ModelSource.detect(path: scratch.path) }?.found == #""m.gguf", "n.gguf""#)
    }

    @Test func contentCountsRatherThanTheName() throws {
        let scratch = try Scratch()
        let model = try scratch.write("model.bin", gguf())
        #expect(try ModelSource.detect(path: model) == .gguf(path: model))
        let zip = Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 26) + Array("archive/data.pkl".utf8)
        for bytes in [[0x80, 2, 0x7D, 0x71], zip, zip + [UInt8](repeating: 0, count: 100_000)] {
            let pickle = try scratch.write("model.gguf", bytes)
            _ = modelFileError(.pickle) { try ModelSource.detect(path: pickle) }
        }
        let plain = try scratch.write("x.zip", Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 64))
        _ = modelFileError(.wrongFormat) { try ModelSource.detect(path: plain) }
        let text = try scratch.write("notes.gguf", "just words\n")
        #expect(
            modelFileError(.wrongFormat) { try ModelSource.detect(path: text) }?.problem
                == "is a text file, not a model")
        let lfs = try scratch.write("lfs.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        _ = modelFileError(.incompleteDownload) { try ModelSource.detect(path: lfs) }
    }

    @Test func aSafetensorsHeaderThatLooksLikeAPickleIsNone() throws {
        let scratch = try Scratch()
        // 0x0180 bytes of header: the file begins like a pickle of protocol 1.
        var bytes = [0x80, 1, 0, 0, 0, 0, 0, 0] + Array("{}".utf8)
        bytes += [UInt8](repeating: 0x20, count: 0x180 - 2)
        #expect(try SafetensorsFile(path: scratch.write("m.safetensors", bytes)).entries.isEmpty)
    }

    @Test func tokenizersAreFoundByThemselves() throws {
        let scratch = try Scratch()
        let json = try scratch.write("other.json", #"{"model": {"type": "BPE", "vocab": {}}}"#)
        #expect(try ModelSource.detect(path: json) == .tokenizerJSON(path: json))
        let model = try scratch.write("tokenizer.model", [0x0A, 0x0E, 0x0A, 0x05] + Array("<unk>".utf8))
        #expect(try ModelSource.detect(path: model) == .tokenizerModel(path: model))
        #expect(try ModelSource.detect(path: scratch.path) == .tokenizerFolder(path: scratch.path))
        let plain = try scratch.write("plain.json", "{}")
        _ = modelFileError(.wrongFormat) { try ModelSource.detect(path: plain) }
    }

    @Test func adaptersAreToldFromModels() throws {
        let scratch = try Scratch()
        try scratch.write("adapter_config.json", "{}")
        try scratch.write("adapter_model.safetensors", SafetensorsWriter().bytes())
        #expect(try ModelSource.detect(path: scratch.path) == .adapter(path: scratch.path))
        #expect(
            try ModelSource.detect(path: scratch.path + "/adapter_model.safetensors") == .adapter(path: scratch.path))
    }

    @Test func unfinishedDownloadsAreNamed() throws {
        let scratch = try Scratch()
        let part = try scratch.write("m.gguf.part", gguf())
        _ = modelFileError(.incompleteDownload) { try ModelSource.detect(path: part) }
        _ = modelFileError(.incompleteDownload) { try ModelSource.detect(path: scratch.path + "/m.gguf") }
        _ = modelFileError(.incompleteDownload) { try ModelSource.detect(path: scratch.path) }
    }

    @Test func theCachesMainRevisionIsFollowed() throws {
        let scratch = try Scratch()
        try scratch.write("snapshots/0a1b/config.json", "{}")
        try scratch.write("snapshots/0a1b/model.safetensors", SafetensorsWriter().bytes())
        try scratch.write("refs/main", "0a1b\n")
        #expect(try ModelSource.detect(path: scratch.path) == .folder(path: scratch.path + "/snapshots/0a1b"))
        try scratch.write("refs/main", "../..")
        _ = modelFileError(.notAModel) { try ModelSource.detect(path: scratch.path) }
    }

    @Test func pathsThatAreNoFilesAreRefused() throws {
        let scratch = try Scratch()
        _ = modelFileError(.notAModel) { try ModelSource.detect(path: scratch.path) }
        for path in [scratch.path + "/none", "", "a\u{0}b"] {
            _ = modelFileError(.missing) { try ModelSource.detect(path: path) }
            _ = modelFileError(.missing) { try MappedFile(path: path) }
        }
        _ = modelFileError(.isFolder) { try MappedFile(path: scratch.path) }
        let empty = try scratch.write("empty.gguf", [])
        _ = modelFileError(.empty) { try ModelSource.detect(path: empty) }
        let pipe = scratch.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        _ = modelFileError(.notRegularFile) { try MappedFile(path: pipe) }
        _ = modelFileError(.notRegularFile) { try ModelSource.detect(path: pipe) }
        if getuid() != 0 {
            let secret = try scratch.write("secret.gguf", gguf())
            chmod(secret, 0)
            _ = modelFileError(.unreadable) { try MappedFile(path: secret) }
        }
    }

    @Test func errorsAreOneLineWhateverTheFileSays() {
        let error = ModelFileError(
            .truncated, file: "model.gguf", offset: 123, subject: "tensor \"w\"",
            "ends at byte 999, the file has 500 bytes", hint: "download incomplete?")
        #expect(
            error.description
                == "model.gguf: tensor \"w\" at offset 123: ends at byte 999, the file has 500 bytes (download incomplete?)"
        )
        var writer = GGUFWriter()
        writer.set("a\n\u{1B}[31m", .bool(true))
        var bytes = (try? writer.bytes()) ?? []
        bytes.patch(UInt8(2), at: 24 + 8 + 7 + 4)
        let shown = modelFileError(.malformed) { try GGUFFile(MappedFile(name: "x", copying: bytes)) }
        #expect(shown?.subject == #"metadata "a\u{a}\u{1b}[31m""#)
    }
}
