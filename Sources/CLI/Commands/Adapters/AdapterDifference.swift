import ServingAdapters
import ServingJSON
import ServingModelFiles
import ServingTensors

/// In what two adapters differ: fields of their configs, and tensors with the norms of their differences.
struct AdapterDifference {
    /// A field of adapter_config.json; nil where a config has none.
    struct Field: Equatable {
        let name: String
        let first: JSONValue?
        let second: JSONValue?
    }

    /// A tensor that is in both with another content or form, or in one only.
    struct Tensor: Equatable {
        let name: String
        /// For instance `F32 (16, 576)`; nil where the adapter has none.
        let firstForm: String?
        let secondForm: String?
        /// Euclidean norm of first - second, and of first; nil where shapes differ.
        let differenceNorm: Double?
        let firstNorm: Double?
    }

    var fields: [Field] = []
    var tensors: [Tensor] = []
    var equalTensorCount = 0

    var isEmpty: Bool { fields.isEmpty && tensors.isEmpty }

    init(_ first: AdapterFolder, _ second: AdapterFolder) throws {
        let names = Set(first.configObject.keys).union(second.configObject.keys).sorted()
        for name in names {
            // PEFT writes null for what is not set, and versions differ in what they write at all.
            let values = [first, second].map { $0.configObject[name].present }
            if values[0] != values[1] { fields.append(Field(name: name, first: values[0], second: values[1])) }
        }
        for name in Set((first.tensors.entries + second.tensors.entries).map(\.name)).sorted() {
            if let tensor = try Self.compare(name, first.tensors, second.tensors) {
                tensors.append(tensor)
            } else {
                equalTensorCount += 1
            }
        }
    }

    private static func compare(_ name: String, _ first: SafetensorsFile, _ second: SafetensorsFile) throws -> Tensor? {
        func form(_ entry: SafetensorsFile.Entry) -> String {
            "\(entry.typeName) (\(entry.shape.map(String.init).joined(separator: ", ")))"
        }
        let (left, right) = (first.entry(named: name), second.entry(named: name))
        var norms: (difference: Double, first: Double)?
        if let left, let right, left.shape == right.shape,
            let one = try first.tensor(named: name), let other = try second.tensor(named: name)
        {
            let found = try Self.norms(one, other)
            if found.difference == 0, left.typeName == right.typeName { return nil }
            norms = found
        }
        return Tensor(
            name: name, firstForm: left.map(form), secondForm: right.map(form), differenceNorm: norms?.difference,
            firstNorm: norms?.first)
    }

    private static func norms(
        _ first: StoredTensor, _ second: StoredTensor
    ) throws -> (difference: Double, first: Double) {
        var (difference, sum) = (0.0, 0.0)
        let count = first.rowCount * first.columnCount
        for index in 0..<count {
            let (x, y) = (try first.element(index), try second.element(index))
            sum += x * x
            difference += (x - y) * (x - y)
        }
        return (difference.squareRoot(), sum.squareRoot())
    }
}

extension StoredTensor {
    /// An element of a float tensor, by its position in the order of storage.
    fileprivate func element(_ index: Int) throws -> Double {
        switch type {
        case .f32:
            return Double(Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
        case .bf16:
            let bits = bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
            return Double(Float(bitPattern: UInt32(bits) << 16))
        case .f16:
            return Self.half(bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
        default:
            throw CommandFailure("tensor \(name) is \(type.name), which can't be compared")
        }
    }

    /// IEEE 754 binary16.
    private static func half(_ bits: UInt16) -> Double {
        let magnitude: Double =
            switch (Int(bits >> 10) & 31, Double(bits & 1023)) {
            case (0, let fraction): fraction * 0x1p-24
            case (31, 0): .infinity
            case (31, _): .nan
            case (let exponent, let fraction):
                (1 + fraction * 0x1p-10) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
            }
        return bits >> 15 == 0 ? magnitude : -magnitude
    }
}
