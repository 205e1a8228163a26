/// Which files of a repository make a model. Pure: a list in, a list out.
struct PullSelection: Equatable {
    let files: [HubFile]
    let format: StoredModel.Format

    /// Chooses by the reference's `file`, or by what the repository holds: a safetensors folder first, else one GGUF.
    init(of snapshot: HubSnapshot, for reference: HubReference) throws(ModelHubError) {
        if let file = reference.file {
            files = [try Self.named(file, in: snapshot.files, of: reference)]
            format = .gguf
            return
        }
        let folder = Self.folder(snapshot.files)
        if folder.contains(where: { $0.path.hasSuffix(".safetensors") }) {
            files = folder
            format = .safetensors
            return
        }
        files = [try Self.preferred(of: snapshot.files, of: reference)]
        format = .gguf
    }

    /// Chooses the files of a LoRA adapter: its config, its weights and a tokenizer of its own.
    /// - Throws: `.unsupported` for what is no adapter, or one of more than so many bytes; `.hubFailed` where the hub
    ///   does not tell the size.
    init(
        adapterOf snapshot: HubSnapshot, for reference: HubReference, maximumBytes: Int64 = .max
    ) throws(ModelHubError) {
        let repository = "\(reference.owner)/\(reference.name)"
        if let file = reference.file {
            throw ModelHubError(.badReference, "\(file): an adapter is a whole repository, not one file")
        }
        let names = snapshot.files.map(\.path)
        if let missing = AdapterFiles.required.first(where: { !names.contains($0) }) {
            if missing == AdapterFiles.weights, names.contains(where: Self.isPickle) {
                throw Self.adapterPickleError(repository)
            }
            throw ModelHubError(.unsupported, "\(repository) is no LoRA adapter: it has no \(missing)")
        }
        files = snapshot.files.filter { AdapterFiles.isWanted($0.path) }
        format = .safetensors
        guard maximumBytes < .max else { return }
        var room = maximumBytes
        for file in files {
            guard let size = file.size else {
                throw ModelHubError(.hubFailed, "\(repository): the hub does not tell the size of \(file.path)")
            }
            guard size <= room else {
                throw ModelHubError(
                    .unsupported, "\(repository) is too large for an adapter: over \(ByteCount.text(maximumBytes))")
            }
            room -= size
        }
    }

    /// Quantisations in the order in which one is taken when none is asked for: good for their size first.
    private static let preference = [
        "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M",
        "Q3_K_S", "Q2_K", "BF16", "F16", "F32",
    ]

    static func isPickle(_ path: String) -> Bool {
        [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"].contains { path.lowercased().hasSuffix($0) }
    }

    static func pickleError(_ what: String) -> ModelHubError {
        ModelHubError(
            .unsupported, "\(what): pickle files can run code when they are opened, so pbctl never loads them",
            hint: "use a repository with safetensors or GGUF files")
    }

    static func adapterPickleError(_ what: String) -> ModelHubError {
        ModelHubError(
            .unsupported,
            "\(what): its weights are a pickle, which can run code when it is opened, so pbctl never loads it",
            hint: "save the adapter with PEFT's safe_serialization=True")
    }

    /// `name-00001-of-00003.gguf`
    private static func isSplit(_ path: String) -> Bool {
        path.dropLast(5).suffix(9).hasPrefix("-of-")
    }

    /// A projector for images or a matrix of importances is no model by itself.
    private static func isModel(_ file: HubFile) -> Bool {
        let name = file.path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        return name.hasSuffix(".gguf") && !name.hasPrefix("mmproj") && !name.contains("imatrix")
    }

    private static func named(
        _ wanted: String, in files: [HubFile], of reference: HubReference
    ) throws(ModelHubError) -> HubFile {
        if isPickle(wanted) { throw pickleError(wanted) }
        let exact = files.filter { $0.path.utf8.elementsEqual(wanted.utf8) }
        let matches = exact.isEmpty ? files.filter { isModel($0) && hasTag($0.path, wanted) } : exact
        guard let match = matches.first else {
            throw ModelHubError(
                .notFound, "\(reference.owner)/\(reference.name) has no file \"\(wanted)\"" + listing(files))
        }
        guard matches.count == 1 else {
            throw ModelHubError(.badReference, "\"\(wanted)\" is more than one file" + listing(matches))
        }
        return try single(match)
    }

    private static func single(_ file: HubFile) throws(ModelHubError) -> HubFile {
        guard file.path.lowercased().hasSuffix(".gguf") else {
            throw ModelHubError(
                .unsupported, "\(file.path) is not a GGUF file",
                hint: "leave the file out of the reference to pull a safetensors folder")
        }
        guard !isSplit(file.path) else {
            throw ModelHubError(
                .unsupported, "\(file.path) is one part of a GGUF split over several files",
                hint: "pick a file that is whole")
        }
        return file
    }

    private static func preferred(of files: [HubFile], of reference: HubReference) throws(ModelHubError) -> HubFile {
        let repository = "\(reference.owner)/\(reference.name)"
        let models = files.filter(isModel)
        let whole = models.filter { !isSplit($0.path) }
        if whole.count == 1 { return whole[0] }
        for tag in preference {
            let matches = whole.filter { hasTag($0.path, tag) }
            if matches.count == 1 { return matches[0] }
            if matches.count > 1 { break }
        }
        if !whole.isEmpty {
            throw ModelHubError(
                .badReference, "\(repository) holds \(whole.count) models" + listing(whole),
                hint: "name one: hf:\(repository):FILE")
        }
        if let part = models.first { return try single(part) }
        if files.contains(where: { isPickle($0.path) }) { throw pickleError(repository) }
        throw ModelHubError(.unsupported, "\(repository) holds no safetensors and no GGUF file")
    }

    /// Whether a file's name bears a quantisation tag as a word of its own: `x-Q4_K_M.gguf`, `x.q4_k_m.gguf`.
    private static func hasTag(_ path: String, _ tag: String) -> Bool {
        let name = Array(path.lowercased().utf8.dropLast(5))
        let tag = Array(tag.lowercased().utf8)
        guard !tag.isEmpty, name.count >= tag.count, name.suffix(tag.count).elementsEqual(tag) else { return false }
        guard name.count > tag.count else { return true }
        return [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "/")]
            .contains(name[name.count - tag.count - 1])
    }

    /// The top-level files of a Hugging Face folder that a model or a LoRA adapter needs.
    private static func folder(_ files: [HubFile]) -> [HubFile] {
        let names = [
            "config.json", "generation_config.json", "adapter_config.json", "special_tokens_map.json",
            "added_tokens.json", "vocab.json", "merges.txt", "preprocessor_config.json",
        ]
        let hasStandardWeights = files.contains { $0.path.hasPrefix("model") && $0.path.hasSuffix(".safetensors") }
        return files.filter { file in
            let path = file.path
            guard !path.contains("/"), !isPickle(path) else { return false }
            if path.hasSuffix(".safetensors") {
                return !(hasStandardWeights && path.hasPrefix("consolidated"))
            }
            return path.hasSuffix(".safetensors.index.json") || names.contains(path) || path.hasPrefix("tokenizer")
                || path.hasPrefix("chat_template")
        }
    }

    private static func listing(_ files: [HubFile]) -> String {
        let models = files.filter(isModel).prefix(24)
        guard !models.isEmpty else { return "" }
        return ": "
            + models.map { file in file.path + (file.size.map { " (\(ByteCount.text($0)))" } ?? "") }
            .joined(separator: ", ")
    }
}
