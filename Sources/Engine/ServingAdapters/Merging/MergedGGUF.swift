import ServingModelFiles
import ServingTensors

/// Writes a GGUF file like another, with an adapter merged in.
struct MergedGGUF {
    let file: GGUFFile
    let plan: MergePlan
    let type: TensorType?
    let course: MergeCourse

    /// Keys about how the base was laid out, which need not hold for the copy.
    private static let droppedKeys: Set<String> = [
        "general.alignment", "split.no", "split.count", "split.tensors.count",
    ]

    /// llama.h, `enum llama_ftype`.
    private static func fileType(_ type: TensorType) -> UInt32? {
        switch type {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q4_1: 3
        case .q8_0: 7
        case .bf16: 32
        default: nil
        }
    }

    func write(to path: String) throws -> MergedModelWriter.Result {
        var writer = GGUFWriter()
        for key in file.metadataKeys where !Self.droppedKeys.contains(key) {
            if let value = file[key] { writer.set(key, value) }
        }
        if let type, let fileType = Self.fileType(type) { writer.set("general.file_type", .uint32(fileType)) }
        // ggml.h, GGML_QNT_VERSION.
        if file["general.quantization_version"] == nil { writer.set("general.quantization_version", .uint32(2)) }
        let total = file.tensors.count + plan.addedVectors.count + (plan.ownHead == nil ? 0 : 1)
        var (done, changed) = (0, 0)
        // Tensors are written in the order they are added in.
        func add(
            _ name: String, _ type: TensorType, _ shape: [Int],
            _ write: @escaping (ByteSink) throws(ModelFileError) -> Void
        ) {
            done += 1
            let (number, course) = (done, course)
            writer.add(name, type, shape: shape) { sink throws(ModelFileError) in
                try course.check()
                try write(sink)
                course.progress(number, total)
            }
        }
        func add(_ matrices: [MergedMatrix], like base: StoredTensor, as name: String) {
            let isChanged = matrices.contains(where: \.isChanged)
            if isChanged { changed += 1 }
            let wanted = type ?? (isChanged ? MergedMatrix.changedType(of: base.type) : base.type)
            let isTable = name == "token_embd.weight" || name == "output.weight"
            let type =
                isChanged || self.type != nil
                ? MergedMatrix.fitting(wanted, columns: base.columnCount, isTable: isTable) : base.type
            guard isChanged || type != base.type else {
                return add(name, base.type, base.shape) { sink throws(ModelFileError) in try base.write(to: sink) }
            }
            add(name, type, base.shape) { sink throws(ModelFileError) in
                for matrix in matrices { try matrix.write(type, name: name, to: sink) }
            }
        }
        for tensor in file.tensors {
            if let matrices = plan.matrices[tensor.name] {
                add(matrices, like: tensor, as: tensor.name)
            } else {
                let vector = plan.vectors[tensor.name]
                if vector != nil { changed += 1 }
                let kept = vector ?? tensor
                add(tensor.name, kept.type, kept.shape) { sink throws(ModelFileError) in try kept.write(to: sink) }
            }
        }
        for name in plan.addedVectors {
            guard let vector = plan.vectors[name] else { continue }
            changed += 1
            add(name, vector.type, vector.shape) { sink throws(ModelFileError) in try vector.write(to: sink) }
        }
        if let head = plan.ownHead, let embedding = file.tensor(named: "token_embd.weight") {
            add([head], like: embedding, as: "output.weight")
        }
        try writer.write(to: path)
        return MergedModelWriter.Result(changedTensorCount: changed, tensorCount: total)
    }
}

extension StoredTensor {
    func write(to sink: ByteSink) throws(ModelFileError) {
        defer { withExtendedLifetime(owner) {} }
        try sink(bytes)
    }
}
