/// Memory and arithmetic of one device: the operations a decoder is made of.
///
/// Conformers: `CPUBackend`, later CUDA. `DecoderModel` issues the operations in order from one thread; a backend may
/// run them asynchronously as long as ``withRows(of:_:)`` waits. Activations are float32 rows, one a token of the step;
/// weights stay encoded as the backend likes. Results must not depend on what else is in the batch.
/// An activation knows how many of its rows are in use: an operation gives its outputs as many rows as its input has.
public protocol Backend: AnyObject {
    /// A linear layer's weight (out, in), resident and possibly repacked.
    associatedtype Matrix
    /// A vector of float32: norm weights, biases.
    associatedtype Vector
    /// Token embeddings (V, E), looked up by row.
    associatedtype EmbeddingTable
    /// Rotation angles of one kind of rotary embedding.
    associatedtype Rotary
    /// Rows of float32, (T, width).
    associatedtype Activation: AnyObject
    /// Keys and values of all layers, paged.
    associatedtype KVCache
    /// Uploads adapters beside the steps.
    associatedtype Uploader: AdapterUploading

    // MARK: Loading

    /// Uploads a weight of shape (out, in).
    func makeMatrix(_ weight: StoredTensor) throws -> Matrix
    /// Uploads the weights of layers that read the same input, which may then lie side by side.
    func makeMatrices(_ weights: [StoredTensor]) throws -> [Matrix]
    /// Uploads a vector as float32, adding `offset` to each element (Gemma stores norm weights minus one).
    func makeVector(_ vector: StoredTensor, offset: Float) throws -> Vector
    /// Makes an embedding table, (V, E).
    func makeEmbeddingTable(_ table: StoredTensor) throws -> EmbeddingTable
    /// Makes the tables for one kind of rotation.
    func makeRotary(_ rotary: RotaryEmbedding) throws -> Rotary
    /// Room for up to `rowCapacity` rows of `width` elements.
    func makeActivation(rowCapacity: Int, width: Int) throws -> Activation
    /// Room for the results of layers that read the same input, which may then lie side by side.
    func makeActivations(rowCapacity: Int, widths: [Int]) throws -> [Activation]
    /// Room for keys and values. Fails with the numbers where memory does not suffice.
    func makeKVCache(_ layout: KVCacheLayout) throws -> KVCache
    /// What adapters are uploaded with, from any thread.
    func makeUploader() -> Uploader

    // MARK: A step

    /// Begins a step and does its operations, which are the same, into the same `results`, for every batch. Results are
    /// what is read after the step. A backend may have recorded them: then it does what it recorded, and does not call.
    func perform(_ batch: ForwardBatch, into results: [Activation], _ operations: () throws -> Void) throws
    /// Starts a step: T tokens, with their positions, block tables and adapters, apply to all operations up to the next
    /// call. An adapter that the backend's uploader did not make is an error.
    ///
    /// Operations on the step's tokens, or on rows gathered from them, that name a slot do there what each row's
    /// adapter does to that slot; see ``AdapterParts``.
    func begin(_ batch: ForwardBatch) throws
    /// `output[t] = scale * table[tokenIDs[t]]` for the step's tokens, changed as adapters change embeddings.
    func embed(_ table: EmbeddingTable, scale: Float, into output: Activation) throws
    /// `output[t] = input[t] / rms(input[t]) * weight`; `output` may be `input`. `slot` is a norm's.
    func rmsNorm(_ input: Activation, weight: Vector, slot: Int?, epsilon: Float, into output: Activation) throws
    /// `sum += scale * term`, then `output = sum / rms(sum) * weight`.
    func addThenNorm(
        _ term: Activation, scale: Float, to sum: Activation, weight: Vector, slot: Int?, epsilon: Float,
        into output: Activation) throws
    /// The same over each head's D elements of each row, in place: query and key norms.
    func headRMSNorm(_ rows: Activation, headCount: Int, weight: Vector, slot: Int?, epsilon: Float) throws
    /// `outputs[i][t] = weights[i] * input[t] + biases[i]`: several layers that read the same input, in the linear
    /// slots from `slot` on.
    func linear(_ input: Activation, _ layers: [LinearLayer<Self>], slot: Int?, into outputs: [Activation]) throws
    /// Rotates each head of each row by its token's position, in place.
    func rotate(_ rows: Activation, headCount: Int, by rotary: Rotary) throws
    /// Writes the step's keys and values, (T, K * D) each, to their slots.
    func store(keys: Activation, values: Activation, in cache: KVCache, layer: Int) throws
    /// Brings the step's queries and keys to what attention reads, by norms and rotation, and keys and values to their
    /// slots. The rows of keys and values are not used after that.
    func prepare(_ rows: AttentionRows<Self>, in cache: KVCache, layer: Int) throws
    /// Causal attention of the step's queries (T, H * D) over their sequences' cached keys and values.
    func attend(
        _ queries: Activation, over cache: KVCache, layer: Int, _ parameters: AttentionParameters,
        into output: Activation) throws
    /// `output = activation(gate) * up`, elementwise; `output` may be `gate`.
    func gatedActivation(
        _ kind: GatedActivation, gate: Activation, up: Activation, into output: Activation) throws
    /// `sum += scale * term`, elementwise.
    func add(_ term: Activation, scale: Float, to sum: Activation) throws
    /// `output[i] = input[rows[i]]`; sets the row count of `output`.
    func gather(_ rows: [Int], of input: Activation, into output: Activation) throws
    /// `rows = scale * rows`, then `cap * tanh(rows / cap)` where a cap is given, in place: final logits.
    func scaleAndCap(_ rows: Activation, scale: Float, softCap: Float?) throws
    /// Waits for the step.
    func finish() throws
    /// Waits for the step and shows the rows to the host, (rows, width). They may be changed in place.
    ///
    /// - Parameter wanted: Rows that must be there, ascending; nil for all.
    func withRows<Result>(
        of activation: Activation, wanted: [Int]?, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) throws -> Result

    // MARK: Choosing tokens

    /// Whether the device chooses tokens by itself.
    var drawsTokens: Bool { get }
    /// Puts the choice of a token from each draw's row of logits on the device; the rows' scores may be changed.
    func launchDraws(_ draws: [TokenDraw], from logits: Activation) throws
    /// Waits for the earliest draws that were launched and not collected.
    func collectDraws() throws -> [TokenDraw.Outcome]
    /// Waits for all that was launched, and forgets it.
    func discardDraws()
}

extension Backend {
    /// Not unless a backend says so.
    public var drawsTokens: Bool { false }

    /// Nothing can be chosen.
    public func launchDraws(_ draws: [TokenDraw], from logits: Activation) throws {
        preconditionFailure("draws for a device that makes none")
    }

    /// Nothing can be chosen.
    public func collectDraws() throws -> [TokenDraw.Outcome] { [] }

    /// There are none.
    public func discardDraws() {}

    /// Chooses a token from each draw's row of logits, and waits.
    public func draw(_ draws: [TokenDraw], from logits: Activation) throws -> [TokenDraw.Outcome] {
        try launchDraws(draws, from: logits)
        return try collectDraws()
    }

    /// All of them.
    public func withRows<Result>(
        of activation: Activation, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) throws -> Result {
        try withRows(of: activation, wanted: nil, body)
    }

    /// One by one.
    public func makeMatrices(_ weights: [StoredTensor]) throws -> [Matrix] { try weights.map(makeMatrix) }

    /// One by one.
    public func makeActivations(rowCapacity: Int, widths: [Int]) throws -> [Activation] {
        try widths.map { try makeActivation(rowCapacity: rowCapacity, width: $0) }
    }

    /// Nothing is recorded.
    public func perform(
        _ batch: ForwardBatch, into results: [Activation], _ operations: () throws -> Void
    ) throws {
        try begin(batch)
        try operations()
    }

    /// One after the other.
    public func addThenNorm(
        _ term: Activation, scale: Float, to sum: Activation, weight: Vector, slot: Int?, epsilon: Float,
        into output: Activation
    ) throws {
        try add(term, scale: scale, to: sum)
        try rmsNorm(sum, weight: weight, slot: slot, epsilon: epsilon, into: output)
    }

    /// One after the other.
    public func prepare(_ rows: AttentionRows<Self>, in cache: KVCache, layer: Int) throws {
        if let norm = rows.queryNorm {
            try headRMSNorm(
                rows.queries, headCount: rows.headCount, weight: norm.weight, slot: norm.slot, epsilon: rows.epsilon)
        }
        if let norm = rows.keyNorm {
            try headRMSNorm(
                rows.keys, headCount: rows.keyValueHeadCount, weight: norm.weight, slot: norm.slot,
                epsilon: rows.epsilon)
        }
        try rotate(rows.queries, headCount: rows.headCount, by: rows.rotary)
        try rotate(rows.keys, headCount: rows.keyValueHeadCount, by: rows.rotary)
        try store(keys: rows.keys, values: rows.values, in: cache, layer: layer)
    }
}

/// Queries, keys and values as they come out of their linear layers, and what is done to them before attention.
public struct AttentionRows<Device: Backend> {
    /// A norm over each head, and its slot.
    public typealias HeadNorm = (weight: Device.Vector, slot: Int)

    /// (T, H * D).
    public let queries: Device.Activation
    /// (T, K * D).
    public let keys: Device.Activation
    /// (T, K * D).
    public let values: Device.Activation
    /// H.
    public let headCount: Int
    /// K.
    public let keyValueHeadCount: Int
    /// Before the rotation.
    public let queryNorm: HeadNorm?
    /// Before the rotation.
    public let keyNorm: HeadNorm?
    /// Of both norms.
    public let epsilon: Float
    /// Of queries and keys.
    public let rotary: Device.Rotary

    /// Rows of a layer.
    public init(
        queries: Device.Activation, keys: Device.Activation, values: Device.Activation, headCount: Int,
        keyValueHeadCount: Int, queryNorm: HeadNorm?, keyNorm: HeadNorm?, epsilon: Float, rotary: Device.Rotary
    ) {
        self.queries = queries
        self.keys = keys
        self.values = values
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.queryNorm = queryNorm
        self.keyNorm = keyNorm
        self.epsilon = epsilon
        self.rotary = rotary
    }
}

/// A weight with its optional bias.
public struct LinearLayer<Device: Backend> {
    /// (out, in).
    public let weight: Device.Matrix
    /// (out), or nil.
    public let bias: Device.Vector?

    /// A layer.
    public init(weight: Device.Matrix, bias: Device.Vector?) {
        self.weight = weight
        self.bias = bias
    }
}

/// Shape of a paged KV cache.
public struct KVCacheLayout: Sendable, Equatable {
    /// How a cached element is stored.
    public enum Element: Sendable, Equatable {
        case f32
        case f16

        /// Bytes of one element.
        public var byteCount: Int { self == .f32 ? 4 : 2 }
    }

    /// L.
    public var layerCount: Int
    /// N.
    public var blockCount: Int
    /// P.
    public var positionsPerBlock: Int
    /// K.
    public var headCount: Int
    /// D.
    public var headDimension: Int
    /// How keys and values are stored.
    public var element: Element

    /// A layout.
    public init(
        layerCount: Int, blockCount: Int, positionsPerBlock: Int, headCount: Int, headDimension: Int, element: Element
    ) {
        self.layerCount = layerCount
        self.blockCount = blockCount
        self.positionsPerBlock = positionsPerBlock
        self.headCount = headCount
        self.headDimension = headDimension
        self.element = element
    }

    /// Bytes of one KV block over all layers, keys and values.
    public var bytesPerBlock: Int {
        2 * layerCount * positionsPerBlock * headCount * headDimension * element.byteCount
    }
}

/// Constants of one layer's attention.
public struct AttentionParameters: Sendable, Equatable {
    /// H.
    public var headCount: Int
    /// Factor on the dot products, usually 1 / sqrt(D).
    public var softmaxScale: Float
    /// `cap * tanh(score / cap)` before the softmax, or nil.
    public var softCap: Float?
    /// How many positions a token sees, itself included, or nil for all.
    public var slidingWindow: Int?

    /// Constants.
    public init(headCount: Int, softmaxScale: Float, softCap: Float? = nil, slidingWindow: Int? = nil) {
        self.headCount = headCount
        self.softmaxScale = softmaxScale
        self.softCap = softCap
        self.slidingWindow = slidingWindow
    }
}

/// Rotary position embedding: which elements are paired and how fast each pair turns.
///
/// RoFormer, Su et al. 2021 (arXiv:2104.09864). All kinds of context scaling come down to the frequencies and one
/// factor, so a backend knows nothing of them.
public struct RotaryEmbedding: Sendable, Equatable {
    /// Which elements of a head turn together.
    public enum Pairing: Sendable, Equatable {
        /// Element i with element i + R / 2 (Hugging Face, GPT-NeoX).
        case halves
        /// Element 2i with element 2i + 1 (GGUF files of the llama architecture).
        case neighbours
    }

    /// D.
    public var headDimension: Int
    /// Radians a position for each pair, (R / 2); R <= D elements at the head's start are rotated, the rest pass.
    public var inverseFrequencies: [Float]
    /// Factor on both cosine and sine (YaRN and LongRoPE's attention factor; otherwise 1).
    public var magnitude: Float
    /// Which elements pair up.
    public var pairing: Pairing

    /// A rotation.
    public init(headDimension: Int, inverseFrequencies: [Float], magnitude: Float = 1, pairing: Pairing) {
        self.headDimension = headDimension
        self.inverseFrequencies = inverseFrequencies
        self.magnitude = magnitude
        self.pairing = pairing
    }
}

/// The gate function of a gated feed-forward layer.
public enum GatedActivation: Sendable, Equatable {
    /// x * sigmoid(x).
    case silu
    /// GELU, tanh approximation.
    case geluTanh
    /// GELU by the error function.
    case geluErf
}
