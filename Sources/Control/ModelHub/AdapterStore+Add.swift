import BlockingThreads
import Glibc
internal import ServingAdapters
import ServingJSON

extension AdapterStore {
    /// Adds a PEFT folder of this machine as the next version of a name. Its files are copied.
    ///
    /// - Parameter name: by default the folder's.
    /// - Throws: `.notFound`; `.unsupported` for what is no adapter, or one that can't be served; `.cancelled`;
    ///   `.diskFull`.
    public func add(
        folder path: String, as name: String? = nil, cancellation: CancellationFlag = CancellationFlag()
    ) throws(ModelHubError) -> StoredAdapter {
        try add(folder: path, as: name, cancellation: cancellation, check: Self.checkContent)
    }

    /// - Parameter check: looks at the copy before it becomes a version; what it throws leaves no trace.
    func add(
        folder path: String, as name: String? = nil, cancellation: CancellationFlag = CancellationFlag(),
        check: (_ folder: String) throws(ModelHubError) -> Void
    ) throws(ModelHubError) -> StoredAdapter {
        guard let resolved = realpath(path, nil) else {
            throw ModelHubError(.notFound, "\(AdapterID.excerpt(path)): \(String(cString: strerror(errno)))")
        }
        let source = String(cString: resolved)
        free(resolved)
        try Self.checkFolder(source)
        let name = name ?? Self.name(from: source)
        try Self.checkName(name)
        let lock = try waitForLock(name, cancellation)
        let adapter = try publish(source, as: name, source: source, commit: nil, cancellation, check)
        _ = consume lock
        return adapter
    }

    /// Fetches an adapter from a hub and adds it as the next version of a name. An interrupted addition goes on where
    /// it stopped.
    ///
    /// - Parameters:
    ///   - name: by default the repository's.
    ///   - cancellation: stops the addition within a second; so does cancelling the task.
    ///   - onEvent: called in the thread that fetches.
    public func add(
        _ reference: HubReference, from client: HubClient, as name: String? = nil,
        cancellation: CancellationFlag = CancellationFlag(),
        onEvent: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(ModelHubError) -> StoredAdapter {
        let name = name ?? reference.name
        try Self.checkName(name)
        let result: Result<StoredAdapter, ModelHubError> = await withTaskCancellationHandler {
            await BlockingThread.run {
                Result { () throws(ModelHubError) in
                    let lock = try waitForLock(name, cancellation) { onEvent(.waiting(model: name)) }
                    let pulls = ModelStore(root: root + "/.pulls")
                    let model = try HubPull(
                        client: client, store: pulls, reference: reference,
                        name: ContentDigest.text(of: name + "\n" + reference.description),
                        content: .adapter(maximumBytes: .max), cancellation: cancellation,
                        onEvent: { onEvent($0.naming(name)) }
                    ).run()
                    let adapter = try publish(
                        model.path, as: name, source: reference.description, commit: model.commit, cancellation,
                        Self.checkContent)
                    _ = try? pulls.remove(model.name)
                    _ = consume lock
                    return adapter
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    private static func checkName(_ name: String) throws(ModelHubError) {
        guard HubReference.isRepositoryPart(name) else {
            throw ModelHubError(
                .badReference, "\"\(AdapterID.excerpt(name))\" cannot be an adapter's name",
                hint: "use letters, digits, . _ - and at most 96 of them")
        }
    }

    /// Reads an adapter as the engine would, so that no version is there that can't be served to any model.
    private static func checkContent(_ folder: String) throws(ModelHubError) {
        do throws(AdapterError) { try AdapterFolder(path: folder).checkTensors() } catch {
            throw ModelHubError(.unsupported, error.message.replacing(folder + "/", with: ""))
        }
    }

    /// A name out of the last component of a path.
    private static func name(from path: String) -> String {
        let name = ModelStore.name(from: path.split(separator: "/").last.map(String.init) ?? path)
        return name == "model" ? "adapter" : name
    }

    /// Says in words why a folder is no adapter.
    private static func checkFolder(_ path: String) throws(ModelHubError) {
        guard let names = FileSystem.names(in: path) else {
            throw ModelHubError(.unsupported, "\(path) is no folder", hint: "name the folder of adapter_config.json")
        }
        guard let missing = AdapterFiles.required.first(where: { !FileSystem.isFile(path + "/" + $0) }) else { return }
        if missing == AdapterFiles.weights, names.contains(where: PullSelection.isPickle) {
            throw PullSelection.adapterPickleError(path)
        }
        throw ModelHubError(.unsupported, "\(path) is no LoRA adapter: it has no \(missing)")
    }

    /// Waits for the lock of a name as long as another process or thread adds or removes.
    private func waitForLock(
        _ name: String, _ cancellation: CancellationFlag, onWait: () -> Void = {}
    ) throws(ModelHubError) -> FileLock {
        var isFirst = true
        while true {
            try cancellation.check()
            if let lock = try lock(name) { return lock }
            if isFirst { onWait() }
            isFirst = false
            usleep(20_000)
        }
    }

    /// Makes a folder the next version of a name. The caller holds the name's lock.
    private func publish(
        _ folder: String, as name: String, source: String, commit: String?, _ cancellation: CancellationFlag,
        _ check: (String) throws(ModelHubError) -> Void
    ) throws(ModelHubError) -> StoredAdapter {
        let home = self.folder(of: name)
        let hadVersions = FileSystem.isDirectory(home)
        // What died in the middle of an addition has left its draft; the lock says that nobody is at work on it.
        let draft = home + "/.draft"
        try FileSystem.removeTree(draft)
        do throws(ModelHubError) {
            let files = try copy(folder, to: draft, cancellation)
            try check(draft)
            let version = try nextVersion(of: name)
            let adapter = StoredAdapter(
                name: name, version: version, source: source, commit: commit,
                baseModel: try Self.baseModel(draft), folder: self.folder(of: name, version), files: files,
                addedAt: Int64(time(nil)))
            let text = AdapterManifest(adapter).json.text(style: .pretty) + "\n"
            try FileSystem.writeAtomically(Array(text.utf8), to: draft + "/" + AdapterManifest.fileName)
            try FileSystem.writeAtomically(Array("\(version)\n".utf8), to: home + "/last")
            try FileSystem.move(draft, to: adapter.folder)
            return adapter
        } catch {
            _ = try? FileSystem.removeTree(draft)
            if !hadVersions { rmdir(home) }
            throw error
        }
    }

    private func copy(
        _ folder: String, to target: String, _ cancellation: CancellationFlag
    ) throws(ModelHubError) -> [StoredModel.File] {
        try FileSystem.makeDirectories(target)
        let names = (FileSystem.names(in: folder) ?? []).filter { name in
            AdapterFiles.isWanted(name) && FileSystem.isFile(folder + "/" + name)
        }
        let total = names.reduce(Int64(0)) { $0 + (FileSystem.size(folder + "/" + $1) ?? 0) }
        if let free = FileSystem.freeBytes(target), free < total {
            throw ModelHubError(
                .diskFull, "\(target): \(ByteCount.text(total)) are to come and \(ByteCount.text(free)) are free",
                hint: "free some space")
        }
        var files: [StoredModel.File] = []
        for name in names {
            let path = target + "/" + name
            try ModelStore.copy(folder + "/" + name, to: path, cancellation) { _ in }
            // Of the copy: the original may be changing under our hands.
            var digest = ContentDigest(for: nil, size: nil)
            try ModelStore(root: root).digest(path, into: &digest, cancellation)
            files.append(
                StoredModel.File(path: name, size: FileSystem.size(path) ?? 0, sha256: digest.sha256Text))
        }
        return files
    }

    private func nextVersion(of name: String) throws(ModelHubError) -> Int {
        let noted = try FileSystem.read(folder(of: name) + "/last", limit: 64).map { bytes in
            String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        }
        let last = max(noted.flatMap(AdapterID.version) ?? 0, versions(of: name).last ?? 0)
        guard last < 999_999_999 else {
            throw ModelHubError(.badReference, "adapter \(name) has no version left", hint: "choose another name")
        }
        return last + 1
    }

    /// `base_model_name_or_path` of a folder's config, which has to be JSON.
    private static func baseModel(_ folder: String) throws(ModelHubError) -> String? {
        let bytes = try FileSystem.read(folder + "/" + AdapterFiles.config, limit: 4 << 20) ?? []
        guard let json = try? JSONValue(parsing: bytes), json.objectValue != nil else {
            throw ModelHubError(.unsupported, "\(AdapterFiles.config) is not a JSON object")
        }
        return json["base_model_name_or_path"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    }
}
