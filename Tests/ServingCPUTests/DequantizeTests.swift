import Glibc
import ServingCPU
import ServingTensors
import Testing

/// Decoding of stored elements against the format's own Python package (Tests/Fixtures/quant).
@Suite struct DequantizeTests {
    private func golden(_ type: TensorType) throws -> (encoded: [UInt8], values: [Float]) {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let file = try #require(fopen("/\(folder)/Fixtures/quant/\(type.name).bin", "rb"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        let count = bytes.count * type.blockElementCount / (type.blockByteCount + 4 * type.blockElementCount)
        let encodedCount = count / type.blockElementCount * type.blockByteCount
        let values = bytes[encodedCount...].withUnsafeBytes { raw in
            (0..<count).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        return (Array(bytes[..<encodedCount]), values)
    }

    @Test(arguments: TensorType.allCases.filter { $0 != .f32 })
    func elementsAreDecodedExactly(type: TensorType) throws {
        let (encoded, expected) = try golden(type)
        let values = try decoded(makeTensor(type, shape: [1, expected.count], bytes: encoded))
        #expect(!values.isEmpty)
        #expect(values.map(\.bitPattern) == expected.map(\.bitPattern))
    }

    /// A packed weight times unit vectors: what the panels hold, to the rounding of 1 to 127 steps of 1 / 127.
    @Test(arguments: TensorType.allCases.filter { $0 != .f32 && $0 != .f16 })
    func panelsHoldTheStoredElements(type: TensorType) throws {
        let (encoded, expected) = try golden(type)
        let columns = 256
        let weight = makeTensor(type, shape: [expected.count / columns, columns], bytes: encoded)
        let units = (0..<columns * columns).map { Float($0 % columns == $0 / columns ? 1 : 0) }
        for isa in instructionSets {
            let backend = try CPUBackend(threadCount: 1, instructionSet: isa)
            let rows = try backend.makeRows(units, width: columns)
            let output = try backend.makeActivation(rowCapacity: columns, width: weight.rowCount)
            try backend.linear(
                rows, [LinearLayer(weight: try backend.makeMatrix(weight), bias: nil)], into: [output])
            let result = try backend.values(of: output)
            for (index, wanted) in expected.enumerated() {
                let value = result[index % columns * weight.rowCount + index / columns]
                let scale = expected[index / 256 * 256..<index / 256 * 256 + 256].reduce(0) { max($0, abs($1)) }
                #expect(abs(value - wanted) <= 1e-6 * scale, "\(type.name) element \(index) on \(isa)")
            }
        }
    }
}
