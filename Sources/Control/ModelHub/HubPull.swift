import Glibc

/// One pull, from the file list to the manifest. Runs in a thread of its own.
final class HubPull {
    /// What a repository is pulled for.
    enum Content {
        case model
        /// A LoRA adapter's files and nothing else, of so many bytes at most.
        case adapter(maximumBytes: Int64)

        /// Whether the commit before stays for those who are about to read it.
        var keepsPreviousCommit: Bool {
            if case .adapter = self { return true }
            return false
        }
    }

    private let client: HubClient
    private let store: ModelStore
    private let reference: HubReference
    private let wantedName: String?
    private let content: Content
    private let cancellation: CancellationFlag
    private let onEvent: (PullEvent) -> Void
    private var totalBytes: Int64?
    private var completedBytes: Int64 = 0

    init(
        client: HubClient, store: ModelStore, reference: HubReference, name: String?, content: Content = .model,
        cancellation: CancellationFlag, onEvent: @escaping (PullEvent) -> Void
    ) {
        self.client = client
        self.store = store
        self.reference = reference
        wantedName = name
        self.content = content
        self.cancellation = cancellation
        self.onEvent = onEvent
    }

    func run() throws(ModelHubError) -> StoredModel {
        if let wantedName { try ModelStore.checkName(wantedName) }
        try store.prepare()
        onEvent(.resolving(reference))
        let snapshot = try fetchSnapshot()
        let selection =
            switch content {
            case .model: try PullSelection(of: snapshot, for: reference)
            case .adapter(let limit): try PullSelection(adapterOf: snapshot, for: reference, maximumBytes: limit)
            }
        let source = reference.naming(selection.format == .gguf ? selection.files[0].path : nil).description
        for name in names(for: selection) {
            let lock = try lock(name)
            if let owner = store.owner(of: name), owner != source {
                if wantedName != nil {
                    throw ModelHubError(
                        .badReference, "a model named \(name) is there already, from \(owner)",
                        hint: "choose another name, or remove it: pbctl models rm \(name)")
                }
                continue
            }
            let model = try fetch(selection, commit: snapshot.commit, source: source, as: name)
            _ = consume lock
            return model
        }
        throw ModelHubError(
            .badReference, "the names for \(source) are taken by other models", hint: "choose a name")
    }

    /// Names to try: the one asked for; else that of the file or repository, with the owner in front where it is taken.
    private func names(for selection: PullSelection) -> [String] {
        if let wantedName { return [wantedName] }
        let stem = selection.format == .gguf ? ModelStore.stem(of: selection.files[0].path) : reference.name
        let version = reference.revision == "main" ? "" : "-\(reference.revision)"
        return [stem + version, "\(reference.owner)-\(stem)\(version)"].map(ModelStore.name(from:))
    }

    private func lock(_ name: String) throws(ModelHubError) -> FileLock {
        var isFirst = true
        while true {
            if let lock = try store.lock(name) { return lock }
            if isFirst { onEvent(.waiting(model: name)) }
            isFirst = false
            client.pause(.milliseconds(200), cancellation)
            try cancellation.check()
        }
    }

    /// Brings all files of a commit into the model's folder. The caller holds the model's lock.
    private func fetch(
        _ selection: PullSelection, commit: String, source: String, as name: String
    ) throws(ModelHubError) -> StoredModel {
        let old = store.model(named: name)
        if let old, old.commit == commit, old.isIntact {
            onEvent(.upToDate(model: name))
            return old
        }
        let folder = store.folder(of: name)
        let files = folder + "/" + commit
        try FileSystem.makeDirectories(files)
        try store.claim(name, source: source)
        totalBytes = selection.files.reduce(Int64?(0)) { total, file in
            guard let total, let size = file.size else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(size)
            return overflow ? nil : sum
        }
        onEvent(.started(model: name, files: selection.files.map(\.path), totalBytes: totalBytes))
        try checkSpace(selection.files, in: files)
        var stored: [StoredModel.File] = []
        for file in selection.files {
            try cancellation.check()
            stored.append(try fetch(file, commit: commit, into: files, reusing: old))
        }
        let manifest = ModelManifest(
            name: name, source: source, commit: commit, format: selection.format,
            location: selection.format == .gguf ? "\(commit)/\(selection.files[0].path)" : commit, files: stored,
            addedAt: Int64(time(nil)))
        try store.write(manifest)
        // Somebody may be about to open the adapter's commit before this one.
        store.removeOtherSnapshots(
            of: name, than: [commit] + (content.keepsPreviousCommit ? [old?.commit].compactMap(\.self) : []))
        return manifest.model(in: folder)
    }

    private func checkSpace(_ files: [HubFile], in folder: String) throws(ModelHubError) {
        guard let totalBytes, let free = client.freeBytes(folder) else { return }
        let present = files.reduce(Int64(0)) { sum, file in
            let path = folder + "/" + file.path
            return sum + (FileSystem.size(path) ?? FileSystem.size(path + ".part") ?? 0)
        }
        guard totalBytes - present > free else { return }
        throw ModelHubError(
            .diskFull,
            "\(folder): \(ByteCount.text(totalBytes - present)) are to come and \(ByteCount.text(free)) are free",
            hint: "free some space and pull again")
    }

    private func fetch(
        _ file: HubFile, commit: String, into folder: String, reusing old: StoredModel?
    ) throws(ModelHubError) -> StoredModel.File {
        let path = folder + "/" + file.path
        if let slash = path.lastIndex(of: "/") { try FileSystem.makeDirectories(String(path[..<slash])) }
        let known = try hasFile(file, at: path, reusing: old)
        if let known {
            advance(by: known.size)
            return known
        }
        let start = completedBytes
        for isLastTry in [false, true] {
            completedBytes = start
            var part = try PartialFile.open(
                path + ".part", of: file, writer: client.writer, cancellation: cancellation)
            let resumedFrom = part.count
            onEvent(.file(file.path, size: file.size, resumedFrom: resumedFrom))
            advance(by: resumedFrom)
            try receive(&part, file, commit)
            let (size, sha256) = (part.count, try part.finish())
            if let sha256 {
                try FileSystem.move(path + ".part", to: path)
                return StoredModel.File(path: file.path, size: size, sha256: sha256)
            }
            unlink(path + ".part")
            // What an earlier pull had left may have been the fault: once more from the start.
            if resumedFrom == 0 || isLastTry { break }
        }
        throw ModelHubError(
            .corrupt, "\(file.path): the content is not what its checksum says; it was removed",
            hint: "pull again; if that fails too, the hub's copy is damaged")
    }

    /// The file where it needs no fetching: an interrupted pull had finished it, or the commit before has the same.
    private func hasFile(
        _ file: HubFile, at path: String, reusing old: StoredModel?
    ) throws(ModelHubError) -> StoredModel.File? {
        guard let size = file.size, file.checksum != nil else { return nil }
        if FileSystem.size(path) != size {
            guard case .sha256(let wanted) = file.checksum, let old, !old.isReference,
                let twin = old.files.first(where: { $0.sha256 == wanted && $0.size == size })
            else { return nil }
            let source = old.format == .gguf ? old.path : old.path + "/" + twin.path
            unlink(path)
            guard link(source, path) == 0 else { return nil }
        }
        // Checked by content: the name alone says little about a file that a dying process or a person left.
        var digest = ContentDigest(for: file.checksum, size: size)
        try store.digest(path, into: &digest, cancellation)
        if digest.matches(file.checksum) {
            return StoredModel.File(path: file.path, size: size, sha256: digest.sha256Text)
        }
        unlink(path)
        return nil
    }

    private func advance(by bytes: Int64) {
        completedBytes += bytes
        onEvent(.progress(completedBytes: completedBytes, totalBytes: totalBytes))
    }
}

// MARK: - The wire

extension HubPull {
    private var transfer: HTTPTransfer {
        HTTPTransfer(
            userAgent: client.userAgent, timeouts: client.timeouts, cancellation: cancellation,
            certificateFile: client.certificateFile)
    }

    private var repository: String { "\(reference.owner)/\(reference.name)" }

    private func fetchSnapshot() throws(ModelHubError) -> HubSnapshot {
        let url =
            "\(client.endpoint)/api/models/\(repository)/revision/\(Self.escaped(reference.revision, "/"))?blobs=true"
        let limit = 64 << 20
        var body: [UInt8] = []
        try retrying { () throws(HTTPFailure) in
            body = []
            try transfer.get(url, credential: client.token) { (_, bytes) throws(ModelHubError) in
                guard bytes.count <= limit - body.count else {
                    throw ModelHubError(.hubFailed, "the hub's file list is over \(limit) bytes")
                }
                body += bytes
            }
        } madeProgress: {
            false
        }
        return try HubSnapshot(parsing: body)
    }

    /// Fetches what a partial file lacks.
    private func receive(_ part: inout PartialFile, _ file: HubFile, _ commit: String) throws(ModelHubError) {
        let url = "\(client.endpoint)/\(repository)/resolve/\(commit)/\(Self.escaped(file.path))"
        var last = part.count
        var hasRestarted = false
        while file.size.map({ part.count < $0 }) ?? true {
            var isDone = false
            try attempt(
                { () throws(HTTPFailure) in
                    try receiveOnce(&part, file, url)
                    isDone = true
                },
                onStatus: { (status) throws(ModelHubError) in
                    // Range not satisfiable: what is there is not the start of what the hub has.
                    guard status == 416, part.count > 0, !hasRestarted else { return false }
                    hasRestarted = true
                    completedBytes -= part.count
                    try part.restart()
                    return true
                },
                madeProgress: {
                    defer { last = part.count }
                    return part.count > last
                })
            if isDone { break }
        }
        if let size = file.size, part.count != size {
            throw ModelHubError(
                .hubFailed, "\(file.path): the hub announced \(size) bytes and sent \(part.count)",
                hint: "pull again; it resumes")
        }
    }

    private func receiveOnce(_ part: inout PartialFile, _ file: HubFile, _ url: String) throws(HTTPFailure) {
        let start = part.count
        // The address names a commit and the whole is checked by its hash, so no If-Range is needed.
        let fields = start > 0 ? [(name: "Range", value: "bytes=\(start)-")] : []
        var isFirst = true
        try transfer.get(url, fields: fields, credential: client.token) { (head, bytes) throws(ModelHubError) in
            if isFirst {
                isFirst = false
                try begin(&part, file, head, from: start)
            }
            try part.append(bytes)
            advance(by: Int64(bytes.count))
        }
    }

    /// Compares what the hub is about to send with what is wanted.
    private func begin(
        _ part: inout PartialFile, _ file: HubFile, _ head: HTTPHead, from start: Int64
    ) throws(ModelHubError) {
        if head.status == 206 {
            let range = head.fields["content-range"] ?? ""
            let first = range.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int64($0) }
            guard first == start else {
                throw ModelHubError(.hubFailed, "\(file.path): asked from byte \(start), the hub sent \"\(range)\"")
            }
        } else if start > 0 {
            completedBytes -= start
            try part.restart()
        }
        if let size = file.size, let text = head.fields["content-length"], let length = Int64(text),
            head.fields["content-encoding"] == nil, length != size - part.count
        {
            throw ModelHubError(
                .hubFailed, "\(file.path): the hub's list says \(size) bytes, its answer \(part.count) + \(length)")
        }
    }

    /// Runs a request until it succeeds, waiting longer after each failure in a row.
    private func retrying(
        _ request: () throws(HTTPFailure) -> Void, madeProgress: () -> Bool
    ) throws(ModelHubError) {
        try attempt(request, onStatus: { (_) throws(ModelHubError) in false }, madeProgress: madeProgress)
    }

    /// - Parameter onStatus: deals with an error status; true ends the attempts without an error.
    private func attempt(
        _ request: () throws(HTTPFailure) -> Void, onStatus: (Int) throws(ModelHubError) -> Bool,
        madeProgress: () -> Bool
    ) throws(ModelHubError) {
        var failures = 0
        while true {
            try cancellation.check()
            let failure: HTTPFailure
            do throws(HTTPFailure) {
                try request()
                return
            } catch { failure = error }
            try cancellation.check()
            if case .status(let head, _) = failure, try onStatus(head.status) { return }
            failures = madeProgress() ? 1 : failures + 1
            let (error, wait) = HubFailure.judge(failure, repository: repository, hasToken: client.token != nil)
            guard let wait, failures < client.maximumFailures else { throw error }
            let delay = wait ?? .milliseconds(500 << min(failures - 1, 6))
            onEvent(.retrying(reason: error.message, after: delay))
            client.pause(delay, cancellation)
        }
    }

    /// Percent-encodes what a path of a URL may not hold as it is.
    static func escaped(_ path: String, _ escapedToo: Character? = nil) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in path.utf8 {
            let scalar = Character(Unicode.Scalar(byte))
            let isPlain =
                byte < 0x80 && (scalar.isLetter || scalar.isNumber || "-._~/".contains(scalar)) && scalar != escapedToo
            bytes += isPlain ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
