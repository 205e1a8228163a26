public import ServingTensors

/// Everything that tells one decoder-only transformer from another. A model family is a way to fill this in
/// (``init(huggingFace:contextLength:)``, ``init(gguf:contextLength:)``), not a forward pass of its own.
public struct DecoderConfig: Sendable, Equatable {
    /// What differs from layer to layer.
    public struct Layer: Sendable, Equatable {
        /// How many positions a token sees, itself included, or nil for all.
        public var slidingWindow: Int?
        /// Index into ``DecoderConfig/rotaries``.
        public var rotaryIndex: Int

        /// A layer.
        public init(slidingWindow: Int? = nil, rotaryIndex: Int = 0) {
            self.slidingWindow = slidingWindow
            self.rotaryIndex = rotaryIndex
        }
    }

    /// The family as its files name it, for instance `llama` or `qwen3`.
    public var architecture: String
    /// V.
    public var vocabularyCount: Int
    /// E.
    public var hiddenSize: Int
    /// F.
    public var feedForwardSize: Int
    /// H.
    public var headCount: Int
    /// K.
    public var keyValueHeadCount: Int
    /// D.
    public var headDimension: Int
    /// Longest sequence in tokens.
    public var contextLength: Int
    /// Added to the mean square before the root.
    public var normEpsilon: Float
    /// Added to stored norm weights (1 in Gemma's Hugging Face files).
    public var normWeightOffset: Float = 0
    /// The feed-forward gate.
    public var activation: GatedActivation
    /// Factor on the token embeddings.
    public var embeddingScale: Float = 1
    /// Factor on what each sub-layer adds to the residual stream.
    public var residualScale: Float = 1
    /// Factor on the logits.
    public var logitScale: Float = 1
    /// Factor on attention scores.
    public var softmaxScale: Float
    /// `cap * tanh(x / cap)` on attention scores.
    public var attentionSoftCap: Float?
    /// `cap * tanh(x / cap)` on logits.
    public var logitSoftCap: Float?
    /// The kinds of rotation that layers choose from.
    public var rotaries: [RotaryEmbedding]
    /// L layers.
    public var layers: [Layer]
    /// Whether the head is the embedding table; nil where the file has to tell by what it holds.
    public var tiesEmbeddings: Bool?

    /// L.
    public var layerCount: Int { layers.count }
}

extension DecoderConfig {
    /// A decoder that does nothing beside what all do; the rest is set after.
    public init(
        architecture: String, vocabularyCount: Int, hiddenSize: Int, feedForwardSize: Int, headCount: Int,
        keyValueHeadCount: Int, headDimension: Int, contextLength: Int, normEpsilon: Float,
        activation: GatedActivation, softmaxScale: Float, rotaries: [RotaryEmbedding], layers: [Layer]
    ) {
        self.architecture = architecture
        self.vocabularyCount = vocabularyCount
        self.hiddenSize = hiddenSize
        self.feedForwardSize = feedForwardSize
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headDimension = headDimension
        self.contextLength = contextLength
        self.normEpsilon = normEpsilon
        self.activation = activation
        self.softmaxScale = softmaxScale
        self.rotaries = rotaries
        self.layers = layers
    }
}

/// Why a model can't be run.
public struct ModelError: Error, Equatable, CustomStringConvertible {
    /// What kind of problem it is.
    public enum Code: Sendable, Equatable {
        /// The architecture, or one of its options, is not one we run.
        case unsupported
        /// A config value is missing, malformed or out of range.
        case invalidConfig
        /// A tensor is missing, left over, or has another shape than the config says.
        case invalidWeights
        /// There is not enough memory for what was asked.
        case outOfMemory
    }

    /// The kind of problem.
    public let code: Code
    /// What, which, and what to do.
    public let message: String

    /// An error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
