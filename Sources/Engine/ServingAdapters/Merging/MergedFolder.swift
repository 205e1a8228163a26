import Glibc
import ServingJSON
import ServingModelFiles
import ServingTensors

/// Writes a Hugging Face folder like another, with an adapter merged in: one safetensors file, the config, and whatever
/// belongs to the tokenizer.
struct MergedFolder {
    let folder: ModelFolder
    let plan: MergePlan
    let type: TensorType?
    let course: MergeCourse

    func write(to path: String) throws -> MergedModelWriter.Result {
        if let name = plan.addedVectors.first {
            throw AdapterError(
                .unsupported, "the model has no \(name), and its config.json can't say that it has one now")
        }
        let shards = try folder.openTensors()
        let (writer, result) = try tensors(shards)
        // A name of this process's own: nothing of an interrupted merge gets into the result.
        let stem = path.utf8.last == UInt8(ascii: "/") ? String(path.dropLast()) : path
        let partial = "\(stem).part-\(getpid())"
        guard mkdir(partial, 0o755) == 0 else { throw notWritten(partial) }
        do {
            try copyOthers(to: partial)
            try writeText(config().text(style: .pretty) + "\n", to: AdapterFile.join(partial, "config.json"))
            try writer.write(to: AdapterFile.join(partial, "model.safetensors"))
            guard rename(partial, path) == 0 else { throw notWritten(path) }
        } catch {
            Self.remove(partial)
            throw error
        }
        return result
    }

    /// Removes a folder that holds files only.
    private static func remove(_ folder: String) {
        guard let directory = opendir(folder) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlink(AdapterFile.join(folder, name)) }
        }
        rmdir(folder)
    }

    private func tensors(_ shards: SafetensorsShards) throws -> (SafetensorsWriter, MergedModelWriter.Result) {
        var writer = SafetensorsWriter()
        let total = shards.names.count + (plan.ownHead == nil ? 0 : 1)
        var (done, changed) = (0, 0)
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
        // A head that is stored although it is the embedding gives way to its own.
        let headName = "lm_head.weight"
        for name in shards.names where plan.ownHead == nil || name != headName {
            guard let entry = shards.entry(named: name) else { continue }
            guard entry.type != nil, let base = try shards.tensor(named: name) else {
                throw AdapterError(
                    .unsupported, "tensor \"\(name)\" is encoded as \(entry.typeName), which is not copied")
            }
            let matrices = plan.matrices[name]
            let vector = plan.vectors[name]
            let isChanged = matrices?.contains(where: \.isChanged) ?? (vector != nil)
            if isChanged { changed += 1 }
            let target = type ?? base.type
            guard isChanged || target != base.type else {
                add(name, base.type, base.shape) { sink throws(ModelFileError) in try base.write(to: sink) }
                continue
            }
            let parts = matrices ?? [MergedMatrix(base: (vector ?? base).asRow(), update: nil)]
            add(name, target, base.shape) { sink throws(ModelFileError) in
                for part in parts { try part.write(target, name: name, to: sink) }
            }
        }
        if let head = plan.ownHead,
            let embedding = plan.matrices.keys.first(where: { $0.hasSuffix("embed_tokens.weight") }),
            let base = try shards.tensor(named: embedding)
        {
            if head.isChanged { changed += 1 }
            let target = type ?? base.type
            add(headName, target, head.shape) { sink throws(ModelFileError) in
                try head.write(target, name: headName, to: sink)
            }
        }
        return (writer, MergedModelWriter.Result(changedTensorCount: changed, tensorCount: done))
    }

    /// config.json with what has changed about the weights.
    private func config() -> JSONValue {
        guard var object = folder.config.objectValue else { return folder.config }
        if plan.ownHead != nil { object["tie_word_embeddings"] = false }
        if let type {
            let name: JSONValue = type == .f32 ? "float32" : type == .f16 ? "float16" : "bfloat16"
            for key in ["torch_dtype", "dtype"] where object[key] != nil { object[key] = name }
        }
        return .object(object)
    }

    /// Files that a tokenizer, a template or generation settings are made of.
    private static let copiedNames = [
        "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "vocab.txt", "merges.txt", "generation_config.json", "chat_template.json", "chat_template.jinja",
        "preprocessor_config.json", "LICENSE", "LICENSE.txt", "NOTICE",
    ]

    private func copyOthers(to target: String) throws {
        for name in Self.copiedNames where AdapterFile.exists(folder.path, name) {
            let file = try AdapterFile.read(folder.path, name, limit: 1 << 30)
            try file.withBytes { bytes in try write(bytes, to: AdapterFile.join(target, name)) }
        }
    }

    private func writeText(_ text: String, to path: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0), to: path) }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws {
        guard let file = fopen(path, "w") else { throw notWritten(path) }
        let count = fwrite(bytes.baseAddress, 1, bytes.count, file)
        guard fclose(file) == 0, count == bytes.count else { throw notWritten(path) }
    }

    private func notWritten(_ path: String) -> ModelFileError {
        ModelFileError(.notWritten, file: path, "cannot be written: " + String(cString: strerror(errno)))
    }
}

extension StoredTensor {
    /// Everything in one row, which float types allow.
    fileprivate func asRow() -> StoredTensor {
        StoredTensor(name: name, type: type, shape: [1, shape.reduce(1, *)], bytes: bytes, owner: owner)
    }
}
