import ServingModelFiles
import ServingTensors
import Testing

@Suite struct GGUFFileTests {
    /// Metadata of all types and three tensors: f32 (2, 3), q8_0 (2, 64), f16 (4).
    private func writer(alignment: Int = 32) -> GGUFWriter {
        var writer = GGUFWriter(alignment: alignment)
        writer.set("general.architecture", .string("llama"))
        writer.set("u8", .uint8(200))
        writer.set("i8", .int8(-7))
        writer.set("u16", .uint16(60000))
        writer.set("i16", .int16(-300))
        writer.set("u32", .uint32(.max))
        writer.set("i32", .int32(.min))
        writer.set("u64", .uint64(.max))
        writer.set("i64", .int64(.min))
        writer.set("f32", .float32(0.5))
        writer.set("f64", .float64(-0.25))
        writer.set("flag", .bool(true))
        writer.set("words", .array(GGUFArray(["", "one", "zwölf", "\u{1F600}"])))
        writer.set("ints", .array(GGUFArray([1, -2, 3] as [Int32])))
        writer.set("floats", .array(GGUFArray([1.5, -2] as [Float])))
        writer.set("flags", .array(GGUFArray(.bool, [.bool(true), .bool(false)])))
        let inner = GGUFArray(["x", "y"])
        writer.set("nested", .array(GGUFArray(.array, [.array(inner), .array(GGUFArray([7] as [Int32]))])))
        writer.add("embed", .f32, shape: [2, 3], bytes: (0..<24).map { UInt8($0) })
        writer.add("weight", .q8_0, shape: [2, 64], bytes: (0..<136).map { UInt8($0) })
        writer.add("norm", .f16, shape: [4], bytes: [UInt8](repeating: 9, count: 8))
        return writer
    }

    private func open(_ bytes: [UInt8]) throws -> GGUFFile { try GGUFFile(MappedFile(name: "t.gguf", copying: bytes)) }

    @Test func metadataOfAllTypesIsRead() throws {
        let file = try open(writer().bytes())
        #expect(file.version == 3 && file.metadataKeys.first == "general.architecture")
        #expect(file.metadataKeys.count == 17)
        #expect(file["general.architecture"]?.stringValue == "llama")
        #expect(file["u8"]?.intValue == 200 && file["i8"]?.intValue == -7)
        #expect(file["u16"]?.intValue == 60000 && file["i16"]?.intValue == -300)
        #expect(file["u32"]?.intValue == 0xFFFF_FFFF && file["i32"]?.intValue == -0x8000_0000)
        #expect(file["u64"]?.intValue == nil && file["u64"]?.doubleValue == 0x1p64)
        #expect(file["i64"]?.intValue == .min)
        #expect(file["f32"]?.doubleValue == 0.5 && file["f64"]?.doubleValue == -0.25 && file["f32"]?.intValue == nil)
        #expect(file["flag"]?.boolValue == true && file["flag"]?.intValue == nil)
        #expect(file["absent"] == nil)
    }

    @Test func arraysAreDecodedOnRequest() throws {
        let file = try open(writer().bytes())
        let words = try #require(file["words"]?.arrayValue?.strings)
        #expect(words.count == 4 && (0..<4).map { words.text(at: $0) } == ["", "one", "zwölf", "\u{1F600}"])
        let (bytes, offsets) = words.packed()
        #expect(offsets == [0, 0, 3, 9, 13] && bytes == Array("onezwölf\u{1F600}".utf8))
        #expect(file["ints"]?.arrayValue?.integers == [1, -2, 3] && file["ints"]?.arrayValue?.doubles == [1, -2, 3])
        #expect(file["floats"]?.arrayValue?.floats == [1.5, -2] && file["floats"]?.arrayValue?.integers == nil)
        #expect(file["flags"]?.arrayValue?.bools == [true, false])
        let nested = try #require(file["nested"]?.arrayValue?.values)
        #expect(nested.count == 2 && nested[0].arrayValue?.strings?.text(at: 1) == "y")
        #expect(nested[1].arrayValue?.integers == [7])
    }

    @Test(arguments: [8, 32, 128])
    func tensorsAreFoundWithShapesOutermostFirst(alignment: Int) throws {
        let file = try open(writer(alignment: alignment).bytes())
        #expect(file.tensors.map(\.name) == ["embed", "weight", "norm"])
        let weight = try #require(file.tensor(named: "weight"))
        #expect(weight.type == .q8_0 && weight.shape == [2, 64])
        #expect(weight.bytes.elementsEqual(0..<136))
        #expect(file.tensor(named: "embed")?.shape == [2, 3] && file.tensor(named: "x") == nil)
    }

    @Test func aFileOnDiskIsMappedAndItsTensorsOutliveIt() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/m.gguf"
        try writer().write(to: path)
        let tensor = try #require(GGUFFile(path: path).tensor(named: "norm"))
        #expect(tensor.bytes.elementsEqual(repeatElement(9, count: 8)))
        #expect(try ModelSource.detect(path: path) == .gguf(path: path))
    }

    @Test func version2IsReadAndOthersAreNamed() throws {
        var bytes = try writer().bytes()
        bytes.patch(UInt32(2), at: 4)
        #expect(try open(bytes).version == 2)
        bytes.patch(UInt32(1), at: 4)
        #expect(modelFileError(.unsupportedVersion) { try open(bytes) }?.problem == "is GGUF version 1")
        bytes.patch(UInt32(4), at: 4)
        _ = modelFileError(.unsupportedVersion) { try open(bytes) }
        bytes.patch(UInt32(3).byteSwapped, at: 4)
        _ = modelFileError(.bigEndian) { try open(bytes) }
    }

    @Test func contentThatIsNotGGUFIsNamed() throws {
        #expect(modelFileError(.wrongFormat) { try open(Array("hello world".utf8)) }?.problem.contains("text") == true)
        _ = modelFileError(.unsupportedVersion) { try open(Array("tjgg".utf8) + [1, 0, 0, 0]) }
        _ = modelFileError(.truncated) { try open(Array("GGU".utf8)) }
        _ = modelFileError(.truncated) { try open(Array("GGUF".utf8)) }
        _ = modelFileError(.incompleteDownload) {
            try open(Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".utf8))
        }
        _ = modelFileError(.wrongFormat) { try open(Array("<!DOCTYPE html><html>".utf8)) }
        _ = modelFileError(.pickle) { try open([0x80, 2, 0x8A, 0x0A]) }
    }

    @Test func absurdCountsAreRefusedAtOnce() throws {
        for count in [UInt64.max, 1 << 63, 1 << 40, 1000] {
            for offset in [8, 16] {
                var bytes = try writer().bytes()
                bytes.patch(count, at: offset)
                _ = modelFileError(.limitExceeded) { try open(bytes) }
            }
            var bytes = try writer().bytes()
            bytes.patch(count, at: try bytes.offset(of: "words") + 5 + 4 + 4)
            _ = modelFileError(.truncated) { try open(bytes) }
            bytes = try writer().bytes()
            bytes.patch(count, at: try bytes.offset(of: "llama") - 8)
            _ = modelFileError(.truncated) { try open(bytes) }
        }
    }

    @Test func faultyMetadataIsRefused() throws {
        let valid = try writer().bytes()
        var bytes = valid
        bytes.patch(UInt32(13), at: try bytes.offset(of: "flag") + 4)
        _ = modelFileError(.malformed) { try open(bytes) }
        bytes = valid
        bytes[try bytes.offset(of: "flag") + 8] = 2
        _ = modelFileError(.malformed) { try open(bytes) }
        bytes = valid
        bytes[try bytes.offset(of: "flags") + 5 + 4 + 4 + 8] = 2
        _ = modelFileError(.malformed) { try open(bytes) }
        bytes = valid
        bytes[try bytes.offset(of: "u16") + 1] = UInt8(ascii: "3")
        bytes[try bytes.offset(of: "i32")] = UInt8(ascii: "u")
        bytes[try bytes.offset(of: "u36") + 2] = UInt8(ascii: "2")
        #expect(modelFileError(.duplicateKey) { try open(bytes) }?.subject == "metadata \"u32\"")
        bytes = valid
        bytes[try bytes.offset(of: "u16")] = 0xFF
        _ = modelFileError(.malformed) { try open(bytes) }
    }

    @Test func nestingIsBounded() throws {
        var value = GGUFValue.array(GGUFArray([1] as [Int32]))
        for _ in 0..<3 { value = .array(GGUFArray(.array, [value])) }
        var writer = GGUFWriter()
        writer.set("deep", value)
        _ = try open(writer.bytes())
        writer.set("deep", .array(GGUFArray(.array, [value])))
        _ = modelFileError(.limitExceeded) { try open(try writer.bytes()) }
    }

    @Test(arguments: [0, 3, 48] as [UInt32])
    func alignmentMustBeAPowerOfTwo(alignment: UInt32) throws {
        var writer = GGUFWriter()
        writer.set("general.alignment", .uint32(alignment))
        _ = modelFileError(.malformed) { try open(try writer.bytes()) }
        writer.set("general.alignment", .uint64(32))
        _ = modelFileError(.malformed) { try open(try writer.bytes()) }
    }

    /// The fields of the tensor info of `weight` in `bytes`.
    private func weight(_ bytes: [UInt8]) throws -> (count: Int, columns: Int, rows: Int, type: Int, offset: Int) {
        let start = try bytes.offset(of: "weight") + 6
        return (start, start + 4, start + 12, start + 20, start + 24)
    }

    @Test func faultyShapesAreRefused() throws {
        let valid = try writer().bytes()
        let field = try weight(valid)
        for count: UInt32 in [0, 5, .max] {
            var bytes = valid
            bytes.patch(count, at: field.count)
            _ = modelFileError(.invalidShape) { try open(bytes) }
        }
        for columns: UInt64 in [33, 1 << 62, 1 << 63, .max] {
            var bytes = valid
            bytes.patch(columns, at: field.columns)
            #expect(modelFileError(.invalidShape) { try open(bytes) }?.subject == "tensor \"weight\"")
        }
        var bytes = valid
        bytes.patch(UInt64(1 << 40), at: field.columns)
        bytes.patch(UInt64(1 << 40), at: field.rows)
        _ = modelFileError(.invalidShape) { try open(bytes) }
    }

    @Test func unsupportedEncodingsAreNamed() throws {
        var bytes = try writer().bytes()
        bytes.patch(UInt32(20), at: try weight(bytes).type)
        #expect(
            modelFileError(.unsupportedTensorType) { try open(bytes) }?.problem.contains("IQ4_NL (type 20)") == true)
        bytes.patch(UInt32(999), at: try weight(bytes).type)
        #expect(modelFileError(.unsupportedTensorType) { try open(bytes) }?.problem.contains("type 999") == true)
    }

    @Test func faultyPlacesAreRefused() throws {
        let valid = try writer().bytes()
        let field = try weight(valid)
        func error(_ code: ModelFileError.Code, offset: UInt64) {
            var bytes = valid
            bytes.patch(offset, at: field.offset)
            _ = modelFileError(code) { try open(bytes) }
        }
        error(.misaligned, offset: 33)
        error(.overlap, offset: 0)
        error(.overlap, offset: 64)
        error(.truncated, offset: 1 << 20)
        error(.truncated, offset: UInt64(Int.max) / 32 * 32)
        error(.invalidShape, offset: .max)
    }

    @Test func halfADownloadIsRecognised() throws {
        let bytes = try writer().bytes()
        let error = modelFileError(.truncated) { try open(Array(bytes.dropLast(40))) }
        #expect(error?.subject == "tensor \"norm\"" && error?.hint == "download incomplete?")
        #expect(error?.problem.contains("the file has \(bytes.count - 40) bytes") == true)
        // Whatever is missing, it shows; only the padding at the end may be absent.
        for count in 0..<bytes.count - 24 { #expect(throws: ModelFileError.self) { try open(Array(bytes[..<count])) } }
        _ = try open(Array(bytes.dropLast(24)))
    }

    @Test func aTensorNameMayNotRepeat() throws {
        var writer = writer()
        writer.add("norm", .f32, shape: [1], bytes: [0, 0, 0, 0])
        _ = modelFileError(.duplicateTensor) { try open(try writer.bytes()) }
    }

    @Test func partsOfASplitModelAreJoined() throws {
        let scratch = try Scratch()
        func part(_ number: Int, count: Int = 3, total: Int32 = 3, name: String? = nil) -> GGUFWriter {
            var writer = GGUFWriter()
            if number == 0 { writer.set("general.architecture", .string("llama")) }
            writer.set("split.no", .uint16(UInt16(number)))
            writer.set("split.count", .uint16(UInt16(count)))
            writer.set("split.tensors.count", .int32(total))
            writer.add(name ?? "t\(number)", .f32, shape: [1], bytes: [UInt8(number), 0, 0, 0])
            return writer
        }
        func path(_ number: Int) -> String { scratch.path + "/m-0000\(number + 1)-of-00003.gguf" }
        for number in 0..<3 { try part(number).write(to: path(number)) }
        #expect(try ModelSource.detect(path: scratch.path) == .gguf(path: path(0)))
        for number in 0..<3 {
            let model = try GGUFFile(path: path(number))
            #expect(model.tensors.map(\.name) == ["t0", "t1", "t2"] && model["general.architecture"] != nil)
        }
        try part(2, total: 4).write(to: path(2))
        try part(0, total: 4).write(to: path(0))
        _ = modelFileError(.missingTensor) { try GGUFFile(path: path(0)) }
        try part(2, name: "t1").write(to: path(2))
        _ = modelFileError(.duplicateTensor) { try GGUFFile(path: path(0)) }
        try part(1).write(to: path(2))
        _ = modelFileError(.malformed) { try GGUFFile(path: path(0)) }
        try scratch.remove("m-00002-of-00003.gguf")
        _ = modelFileError(.missing) { try GGUFFile(path: path(0)) }
        try part(0).write(to: scratch.path + "/renamed.gguf")
        _ = modelFileError(.malformed) { try GGUFFile(path: scratch.path + "/renamed.gguf") }
    }

    @Test func mutatedFilesNeverTrapAndTensorsLieInside() throws {
        var random = SplitMix64(state: 1)
        let valid = try writer().bytes()
        var openedCount = 0
        for _ in 0..<4000 {
            let file = MappedFile(name: "mutated", copying: mutate(valid, using: &random))
            guard let model = try? GGUFFile(file) else { continue }
            openedCount += 1
            for tensor in model.tensors { #expect(lies(tensor, in: file)) }
            for key in model.metadataKeys {
                guard let array = model[key]?.arrayValue else { continue }
                _ = (array.strings?.packed(), array.doubles, array.bools, array.values.count)
            }
        }
        #expect(openedCount > 100)
    }
}
