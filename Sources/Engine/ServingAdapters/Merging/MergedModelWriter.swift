import Glibc
import ServingModelFiles
public import ServingModels
public import ServingTensors

/// Writes a model with an adapter merged in: a GGUF file from a GGUF file, a Hugging Face folder from a folder. What is
/// written appears under its name only when complete.
public enum MergedModelWriter {
    /// What was written.
    public struct Result: Sendable, Equatable {
        /// Tensors that the adapter changed.
        public let changedTensorCount: Int
        /// All tensors.
        public let tensorCount: Int
    }

    /// Merges and writes.
    ///
    /// - Parameters:
    ///   - basePath: a GGUF file or a Hugging Face folder.
    ///   - type: encoding of all weights (embedding and head: Q8_0 instead of four bits); nil keeps what is not changed
    ///     as it is, keeps float types, and takes Q8_0 for changed weights of quantised models.
    ///   - output: a path that ends in `.gguf` for a GGUF base, a folder that is not there yet for a folder.
    ///   - progress: called after each tensor with how many are written of how many.
    ///   - isCancelled: asked before each tensor; once it says so the writing ends with `notWritten`, and nothing is
    ///     left of it.
    ///   - adapter: makes the adapter's weights for the base, for instance by ``AdapterFolder/weights(for:base:)``.
    /// - Throws: `AdapterError`, `ModelFileError` and `ModelError`.
    @discardableResult
    public static func write(
        basePath: String, type: TensorType? = nil, to output: String,
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in },
        isCancelled: @escaping () -> Bool = { false },
        adapter: (DecoderConfig, DecoderWeights) throws(AdapterError) -> AdapterWeights
    ) throws -> Result {
        if let type { try WeightMerger.checkEncodable(type) }
        let isFile = output.hasSuffix(".gguf")
        switch try ModelSource.detect(path: basePath) {
        case .gguf(let path):
            guard isFile else {
                throw AdapterError(
                    .invalidRequest,
                    "\(basePath) is a GGUF file: it can only be merged into a file that ends in .gguf (for a folder, give "
                        + "the model's Hugging Face folder)")
            }
            guard !isSame(path, output) else {
                throw AdapterError(.invalidRequest, "\(output) is the base itself (choose another name)")
            }
            let file = try GGUFFile(path: path)
            let model = try ModelDescription(gguf: file)
            let plan = try MergePlan(
                weights: model.weights, adapter: try adapter(model.config, model.weights), config: model.config)
            let course = MergeCourse(progress: progress, isCancelled: isCancelled)
            return try MergedGGUF(file: file, plan: plan, type: type, course: course).write(to: output)
        case .folder(let path):
            guard !isFile else {
                throw AdapterError(
                    .invalidRequest,
                    "\(basePath) is a Hugging Face folder: it can only be merged into a folder (for GGUF, give a GGUF "
                        + "file as the base, or convert the merged folder with llama.cpp)")
            }
            guard access(output, F_OK) != 0 else {
                throw AdapterError(.invalidRequest, "\(output) exists already (choose another name or remove it)")
            }
            if let type, type.isQuantized {
                throw AdapterError(
                    .invalidRequest, "a Hugging Face folder can't hold \(type.name) (F32, F16 and BF16 it can)")
            }
            let folder = try ModelFolder(path: path)
            let model = try ModelDescription(folder: folder)
            let plan = try MergePlan(
                weights: model.weights, adapter: try adapter(model.config, model.weights), config: model.config)
            let course = MergeCourse(progress: progress, isCancelled: isCancelled)
            return try MergedFolder(folder: folder, plan: plan, type: type, course: course).write(to: output)
        default:
            throw AdapterError(
                .invalidRequest,
                "\(basePath) is no model that could be merged into (a GGUF file or a Hugging Face folder)")
        }
    }

    private static func isSame(_ left: String, _ right: String) -> Bool {
        var (first, second) = (stat(), stat())
        return stat(left, &first) == 0 && stat(right, &second) == 0 && first.st_dev == second.st_dev
            && first.st_ino == second.st_ino
    }
}

/// How a merge tells where it is, and learns that it is not wanted any more.
struct MergeCourse {
    let progress: (_ done: Int, _ total: Int) -> Void
    let isCancelled: () -> Bool

    /// Ends a merge that was given up.
    func check() throws(ModelFileError) {
        guard !isCancelled() else { throw ModelFileError(.notWritten, file: "the merged model", "was given up") }
    }
}
