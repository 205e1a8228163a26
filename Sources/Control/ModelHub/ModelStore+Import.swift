import Glibc

extension ModelStore {
    /// Adds a model that is on this machine already: a GGUF file or a Hugging Face folder.
    ///
    /// - Parameters:
    ///   - name: name in the store; by default that of the file or folder.
    ///   - copying: whether to copy the files; else the store only refers to the path.
    ///   - onProgress: bytes copied and bytes in all.
    /// - Throws: `.notFound`, `.unsupported` for what is no model, `.badReference` where the name is taken.
    public func importModel(
        at path: String, as name: String? = nil, copying: Bool = false,
        cancellation: CancellationFlag = CancellationFlag(),
        onProgress: (_ completedBytes: Int64, _ totalBytes: Int64) -> Void = { _, _ in }
    ) throws(ModelHubError) -> StoredModel {
        guard let resolved = realpath(path, nil) else {
            throw ModelHubError(.notFound, "\(path): \(String(cString: strerror(errno)))")
        }
        let source = String(cString: resolved)
        free(resolved)
        let found = try LocalModel(at: source)
        let name = name ?? Self.name(from: Self.stem(of: source))
        try Self.checkName(name)
        guard let lock = try lock(name) else {
            throw ModelHubError(.busy, "model \(name) is being pulled", hint: "choose another name")
        }
        if let owner = owner(of: name), owner != source {
            throw ModelHubError(
                .badReference, "a model named \(name) is there already, from \(owner)",
                hint: "choose another name, or remove it: pbctl models rm \(name)")
        }
        var manifest = ModelManifest(
            name: name, source: source, commit: nil, format: found.format, location: source, files: found.files,
            addedAt: Int64(time(nil)))
        if copying {
            try claim(name, source: source, copying: found, cancellation, onProgress)
            manifest.location = found.format == .gguf ? "copy/\(found.files[0].path)" : "copy"
        }
        try write(manifest)
        _ = consume lock
        return manifest.model(in: folder(of: name))
    }

    private func claim(
        _ name: String, source: String, copying model: LocalModel, _ cancellation: CancellationFlag,
        _ onProgress: (Int64, Int64) -> Void
    ) throws(ModelHubError) {
        let target = folder(of: name) + "/copy"
        try FileSystem.makeDirectories(target)
        try claim(name, source: source)
        let total = model.files.reduce(Int64(0)) { $0 + $1.size }
        if let free = FileSystem.freeBytes(target), free < total {
            throw ModelHubError(
                .diskFull, "\(target): \(ByteCount.text(total)) are to come and \(ByteCount.text(free)) are free",
                hint: "free some space, or import without copying")
        }
        var done: Int64 = 0
        for file in model.files {
            let path = model.format == .gguf ? source : source + "/" + file.path
            try Self.copy(path, to: target + "/" + file.path, cancellation) { bytes in
                done += bytes
                onProgress(done, total)
            }
        }
    }

    /// Copies a file and makes the copy durable; it appears under its name when it is whole.
    static func copy(
        _ path: String, to target: String, _ cancellation: CancellationFlag, _ onBytes: (Int64) -> Void
    ) throws(ModelHubError) {
        let input = open(path, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw FileSystem.failure("cannot read", path) }
        defer { close(input) }
        let draft = target + ".part"
        let output = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard output >= 0 else { throw FileSystem.failure("cannot write", draft) }
        defer { close(output) }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            try cancellation.check()
            let count = Glibc.read(input, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileSystem.failure("cannot read", path) }
            if count == 0 { break }
            var written = 0
            while written < count {
                let step = chunk.withUnsafeBytes {
                    Glibc.write(output, $0.baseAddress?.advanced(by: written), count - written)
                }
                if step < 0, errno == EINTR { continue }
                guard step > 0 else {
                    let error = FileSystem.failure("cannot write", target)
                    unlink(draft)
                    throw error
                }
                written += step
            }
            onBytes(Int64(count))
        }
        guard fsync(output) == 0 else { throw FileSystem.failure("cannot write", target) }
        try FileSystem.move(draft, to: target)
    }
}

/// A model outside the store, looked at from outside: by names, sizes and the first bytes.
struct LocalModel {
    let format: StoredModel.Format
    let files: [StoredModel.File]

    init(at path: String) throws(ModelHubError) {
        if FileSystem.isDirectory(path) {
            try self.init(folder: path)
        } else {
            try self.init(file: path)
        }
    }

    private init(file path: String) throws(ModelHubError) {
        guard let size = FileSystem.size(path) else {
            throw ModelHubError(.unsupported, "\(path) is neither a file nor a folder")
        }
        if PullSelection.isPickle(path) { throw PullSelection.pickleError(path) }
        let magic = Self.firstBytes(of: path)
        guard magic == Array("GGUF".utf8) else {
            throw ModelHubError(
                .unsupported, "\(path) is not a GGUF file: it starts with \(magic), not with \"GGUF\"")
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        format = .gguf
        files = [StoredModel.File(path: name, size: size, sha256: nil)]
    }

    private init(folder path: String) throws(ModelHubError) {
        guard let names = FileSystem.names(in: path) else { throw FileSystem.failure("cannot read", path) }
        let weights = names.filter { $0.hasSuffix(".safetensors") }
        guard !weights.isEmpty, names.contains("config.json") || names.contains("adapter_config.json") else {
            if names.contains(where: PullSelection.isPickle) { throw PullSelection.pickleError(path) }
            let hint = names.first { $0.lowercased().hasSuffix(".gguf") }.map { "name the file: \(path)/\($0)" }
            throw ModelHubError(
                .unsupported,
                "\(path) is no Hugging Face folder: "
                    + (weights.isEmpty ? "it holds no safetensors" : "it has no config.json"), hint: hint)
        }
        format = .safetensors
        files = names.compactMap { name in
            guard !PullSelection.isPickle(name), HubFile.isSafePath(name) else { return nil }
            return FileSystem.size(path + "/" + name).map { StoredModel.File(path: name, size: $0, sha256: nil) }
        }
    }

    private static func firstBytes(of path: String) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4)
        let count = read(file, &bytes, 4)
        return Array(bytes.prefix(max(count, 0)))
    }
}
