import ServingModelFiles
import ServingTensors
import Testing

@Suite struct SafetensorsFileTests {
    /// A file of the given header and data.
    private func bytes(_ header: String, data: Int = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8)
        bytes.patch(UInt64(header.utf8.count), at: 0)
        return bytes + Array(header.utf8) + [UInt8](repeating: 1, count: data)
    }

    private func open(_ bytes: [UInt8]) throws -> SafetensorsFile {
        try SafetensorsFile(MappedFile(name: "t.safetensors", copying: bytes))
    }

    private func open(_ header: String, data: Int = 0) throws -> SafetensorsFile {
        try open(bytes(header, data: data))
    }

    private func writer() -> SafetensorsWriter {
        var writer = SafetensorsWriter(metadata: [("format", "pt"), ("note", "a \"b\"")])
        writer.add("w", .f32, shape: [2, 3], bytes: (0..<24).map { UInt8($0) })
        writer.add("n", .bf16, shape: [4], bytes: [UInt8](repeating: 7, count: 8))
        writer.add("ids", typeName: "I64", shape: [1], byteCount: 8) { sink throws(ModelFileError) in
            for byte: UInt8 in 0..<8 { try withOne(byte, sink) }
        }
        writer.add("scalar", .f16, shape: [], bytes: [1, 2])
        return writer
    }

    private func withOne(_ byte: UInt8, _ sink: ByteSink) throws(ModelFileError) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
        defer { memory.deallocate() }
        memory[0] = byte
        try sink(UnsafeRawBufferPointer(memory))
    }

    @Test func whatIsWrittenIsRead() throws {
        let file = try open(writer().bytes())
        #expect(file.entries.map(\.name) == ["w", "n", "ids", "scalar"])
        #expect(file.metadata.map(\.key) == ["format", "note"] && file.metadata.last?.value == "a \"b\"")
        let tensor = try #require(try file.tensor(named: "w"))
        #expect(tensor.shape == [2, 3] && tensor.type == .f32 && tensor.bytes.elementsEqual(0..<24))
        #expect(try file.tensor(named: "scalar")?.shape == [] && file.tensor(named: "absent") == nil)
        #expect(file.entry(named: "ids")?.typeName == "I64" && file.entry(named: "ids")?.shape == [1])
        #expect(modelFileError(.unsupportedTensorType) { try file.tensor(named: "ids") }?.subject == "tensor \"ids\"")
    }

    @Test func aProducerMustKeepItsWord() throws {
        var writer = SafetensorsWriter()
        writer.add("w", .f32, shape: [2], bytes: [0, 0, 0, 0])
        let scratch = try Scratch()
        _ = modelFileError(.sizeMismatch) { try writer.write(to: scratch.path + "/x.safetensors") }
        #expect(modelFileError(.missing) { try MappedFile(path: scratch.path + "/x.safetensors") } != nil)
        #expect(modelFileError(.missing) { try MappedFile(path: scratch.path + "/x.safetensors.part") } != nil)
        _ = modelFileError(.notWritten) { try writer.write(to: scratch.path + "/no/such/folder") }
    }

    @Test func theHeaderMayEndInSpacesAndBeEmpty() throws {
        #expect(try open("{}").entries.isEmpty)
        #expect(try open(#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}    "#, data: 2).entries.count == 1)
        #expect(try open(#"{"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]}}"#).tensor(named: "a") != nil)
    }

    @Test func faultyHeadersAreRefused() throws {
        _ = modelFileError(.truncated) { try open([1, 0, 0]) }
        var long = bytes("{}")
        long.patch(UInt64(3), at: 0)
        _ = modelFileError(.truncated) { try open(long) }
        for length: UInt64 in [100_000_001, 1 << 40, .max] {
            long.patch(length, at: 0)
            _ = modelFileError(.limitExceeded) { try open(long) }
        }
        for header in [
            "", "[]", " {}", "{", "null", "{}x", #"{"a":1}"#, #"{"__metadata__":1}"#, #"{"__metadata__":{"a":1}}"#,
        ] {
            _ = modelFileError(.invalidJSON) { try open(header) }
        }
        _ = modelFileError(.duplicateTensor) {
            try open(
                #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
                data: 2)
        }
    }

    @Test(arguments: [
        #"{"shape":[1],"data_offsets":[0,4]}"#, #"{"dtype":1,"shape":[1],"data_offsets":[0,4]}"#,
        #"{"dtype":"F32","data_offsets":[0,4]}"#, #"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
        #"{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}"#, #"{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}"#,
        #"{"dtype":"F32","shape":[1]}"#, #"{"dtype":"F32","shape":[1],"data_offsets":[0]}"#,
        #"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, #"{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}"#,
        #"{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}"#,
        #"{"dtype":"F32","shape":[1],"data_offsets":[0,99999999999999999999]}"#,
    ])
    func faultyEntriesAreRefused(entry: String) {
        #expect(modelFileError(.invalidJSON) { try open(#"{"a":\#(entry)}"#, data: 4) }?.subject == "tensor \"a\"")
    }

    @Test func faultyShapesAndPlacesAreRefused() {
        func error(_ code: ModelFileError.Code, data: Int, _ entries: (String, String, String)...) {
            let members = entries.enumerated().map { position, entry in
                #""t\#(position)":{"dtype":"\#(entry.0)","shape":\#(entry.1),"data_offsets":\#(entry.2)}"#
            }
            _ = modelFileError(code) { try open("{" + members.joined(separator: ",") + "}", data: data) }
        }
        error(.invalidShape, data: 0, ("F32", "[4294967296,4294967296]", "[0,0]"))
        error(.invalidShape, data: 0, ("F32", "[0,9223372036854775807]", "[0,0]"))
        error(.invalidShape, data: 1, ("F4", "[1]", "[0,1]"))
        error(.sizeMismatch, data: 4, ("F32", "[2]", "[0,4]"))
        error(.truncated, data: 4, ("F32", "[2]", "[0,8]"))
        error(.truncated, data: 4, ("NEW", "[2]", "[0,9223372036854775807]"))
        error(.overlap, data: 8, ("F32", "[1]", "[0,4]"), ("F32", "[1]", "[2,6]"), ("U8", "[2]", "[6,8]"))
        error(.overlap, data: 4, ("F32", "[1]", "[0,4]"), ("F32", "[1]", "[0,4]"))
        error(.gap, data: 9, ("F32", "[1]", "[0,4]"), ("F32", "[1]", "[5,9]"))
        error(.gap, data: 5, ("F32", "[1]", "[0,4]"))
        error(.gap, data: 5, ("F32", "[1]", "[1,5]"))
        error(.gap, data: 1)
    }

    @Test func halfADownloadIsRecognised() throws {
        let bytes = try writer().bytes()
        #expect(modelFileError(.truncated) { try open(Array(bytes.dropLast(1))) }?.hint == "download incomplete?")
        for count in 0..<bytes.count { #expect(throws: ModelFileError.self) { try open(Array(bytes[..<count])) } }
    }

    @Test func mutatedFilesNeverTrapAndTensorsLieInside() throws {
        var random = SplitMix64(state: 2)
        let valid = try writer().bytes()
        var openedCount = 0
        for _ in 0..<4000 {
            let file = MappedFile(name: "mutated", copying: mutate(valid, using: &random))
            guard let model = try? SafetensorsFile(file) else { continue }
            openedCount += 1
            for entry in model.entries {
                #expect(entry.range.upperBound <= file.count)
                if let tensor = try? model.tensor(named: entry.name) { #expect(lies(tensor, in: file)) }
            }
        }
        #expect(openedCount > 100)
    }
}
