import Foundation
import ServingModelFiles
import ServingTensors
import Testing

/// A folder that is removed with the object.
final class Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "pbctl-files-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }
}

/// The error that `body` throws.
func modelFileError(
    _ code: ModelFileError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> some Any
) -> ModelFileError? {
    do {
        _ = try body()
        Issue.record("nothing was thrown, expected \(code)", sourceLocation: sourceLocation)
    } catch let error as ModelFileError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        #expect(!error.description.contains("\n"), sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
    return nil
}

extension [UInt8] {
    /// `number` in little-endian order, at `offset`.
    mutating func patch(_ number: some FixedWidthInteger, at offset: Int) {
        Swift.withUnsafeBytes(of: number.littleEndian) { bytes in
            for (position, byte) in bytes.enumerated() { self[offset + position] = byte }
        }
    }

    /// Where a text occurs first.
    func offset(of text: String) throws -> Int {
        let needle = Array(text.utf8)
        return try #require((0...count - needle.count).first { self[$0..<$0 + needle.count].elementsEqual(needle) })
    }
}

/// Sebastiano Vigna's generator, for repeatable tests.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Truncates, changes and exchanges bytes.
func mutate(_ bytes: [UInt8], using random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &random) {
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes[position] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random) ?? 0
        default:
            if position + 8 <= bytes.count {
                bytes.patch(
                    UInt64.random(in: 0 ... .max, using: &random) >> UInt64.random(in: 0..<64, using: &random),
                    at: position)
            }
        }
    }
    if Int.random(in: 0..<4, using: &random) == 0 {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
    }
    return bytes
}

/// Whether a tensor's bytes are part of its file.
func lies(_ tensor: StoredTensor, in file: MappedFile) -> Bool {
    guard let start = tensor.bytes.baseAddress, let base = file.bytes.baseAddress else { return tensor.bytes.isEmpty }
    return start >= base && start + tensor.bytes.count <= base + file.count
}
