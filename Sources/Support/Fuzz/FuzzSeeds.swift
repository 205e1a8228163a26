import Glibc
import ServingJSON
import ServingModelFiles
import ServingTensors

/// Writes the seeds that the fuzzers start from: small valid files of every kind, into OUT/<target>/.
///
/// Usage: `fuzz-seeds OUT [FIXTURE.json...]`. Of a tokenizer.json a miniature is kept, since inputs of a few kilobytes
/// are mutated to more effect; of a recorded chat template (an object with `template`) its source.
@main
struct FuzzSeeds {
    static func main() throws {
        guard CommandLine.arguments.count >= 2 else { fatalError("usage: fuzz-seeds OUT [FIXTURE.json...]") }
        let folder = CommandLine.arguments[1]
        try ggufFile(alignment: 32).write(to: "\(folder)/gguf/all-types.gguf")
        try ggufFile(alignment: 8).write(to: "\(folder)/gguf/alignment-8.gguf")
        try GGUFWriter(version: 2).write(to: "\(folder)/gguf/empty.gguf")
        try safetensorsFile().write(to: "\(folder)/safetensors/tensors.safetensors")
        try SafetensorsWriter(metadata: []).write(to: "\(folder)/safetensors/empty.safetensors")
        for path in CommandLine.arguments.dropFirst(2) {
            let file = try MappedFile(path: path)
            guard let value = try? file.withBytes({ try JSONValue(parsing: $0) }) else { continue }
            let name = path.split(separator: "/").last.map(String.init) ?? path
            if let template = value["template"]?.stringValue {
                try write(template, to: "\(folder)/chat-template/\(name)")
            } else if value["model"] != nil {
                try write(miniature(value).text(), to: "\(folder)/tokenizer-json/\(name)")
            }
        }
    }

    private static func ggufFile(alignment: Int) -> GGUFWriter {
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
        writer.set("words", .array(GGUFArray(["", "one", "zwölf"])))
        writer.set("numbers", .array(GGUFArray([1, -2, 3] as [Int32])))
        writer.set("floats", .array(GGUFArray([1.5, -2] as [Float])))
        writer.set("flags", .array(GGUFArray(.bool, [.bool(true), .bool(false)])))
        writer.set("nested", .array(GGUFArray(.array, [.array(GGUFArray(["x"])), .array(GGUFArray([7] as [Int32]))])))
        writer.add("embed", .f32, shape: [2, 3], bytes: [UInt8](repeating: 1, count: 24))
        writer.add("weight", .q8_0, shape: [2, 32], bytes: [UInt8](repeating: 2, count: 68))
        writer.add("norm", .f16, shape: [4], bytes: [UInt8](repeating: 3, count: 8))
        return writer
    }

    private static func safetensorsFile() -> SafetensorsWriter {
        var writer = SafetensorsWriter()
        writer.add("a", .f32, shape: [2, 2], bytes: [UInt8](repeating: 1, count: 16))
        writer.add("b", .bf16, shape: [3], bytes: [UInt8](repeating: 2, count: 6))
        writer.add("c", .f16, shape: [0, 4], bytes: [])
        writer.add("d", typeName: "I64", shape: [], byteCount: 8) { sink throws(ModelFileError) in
            try withUnsafeBytes(of: UInt64(7)) { bytes throws(ModelFileError) in try sink(bytes) }
        }
        return writer
    }

    /// A tokenizer of the same kind with a few dozen tokens: the first ones, and the merges that are possible with
    /// them.
    private static func miniature(_ tokenizer: JSONValue) -> JSONValue {
        guard var whole = tokenizer.objectValue, var model = tokenizer["model"]?.objectValue else { return tokenizer }
        if let vocabulary = model["vocab"]?.objectValue {
            let kept = vocabulary.members.filter { ($0.1.intValue ?? .max) < 64 || $0.0.utf8.count > 3 }.prefix(96)
            let names = Set(kept.map { Array($0.0.utf8) })
            model["vocab"] = .object(JSONObject(kept.map { ($0.0, $0.1) }))
            model["merges"] = .array(model["merges"]?.arrayValue.map { possible($0, names) } ?? [])
        } else if let pieces = model["vocab"]?.arrayValue {
            model["vocab"] = .array(Array(pieces.prefix(96)))
        }
        whole["model"] = .object(model)
        return .object(whole)
    }

    private static func possible(_ merges: [JSONValue], _ names: Set<[UInt8]>) -> [JSONValue] {
        let possible = merges.filter { merge in
            let parts: [[UInt8]]
            if let text = merge.stringValue {
                parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false).map { Array($0) }
            } else {
                parts = (merge.arrayValue ?? []).compactMap { $0.stringValue.map { Array($0.utf8) } }
            }
            return parts.count == 2 && parts.allSatisfy(names.contains) && names.contains(parts[0] + parts[1])
        }
        return Array(possible.prefix(32))
    }

    private static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { fatalError("cannot write \(path)") }
        defer { fclose(file) }
        fputs(text, file)
    }
}
