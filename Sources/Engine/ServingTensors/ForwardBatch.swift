/// Index of a KV block in the pool.
public typealias BlockID = Int32

/// One step's work, as a plain value: which tokens to compute, where their keys and values go, and whose logits are
/// wanted. Made by the scheduler, read by the model and its backend.
public struct ForwardBatch: Sendable, Equatable {
    /// A run of consecutive tokens of one sequence. Prefill chunks have many, decode has one.
    public struct Sequence: Sendable, Equatable {
        /// Where the run lies in ``ForwardBatch/tokenIDs``. Runs follow one another without gaps.
        public var tokenRange: Range<Int>
        /// Position of the run's first token in the sequence = tokens whose keys and values are already cached.
        public var firstPosition: Int
        /// The sequence's KV blocks in order; entry i holds positions `i * P ..< (i + 1) * P`. Covers the whole run.
        public var blockTable: [BlockID]
        /// What the run is computed with; nil for the model alone.
        public var adapter: (any ResidentAdapter)?

        /// A run of tokens.
        public init(
            tokenRange: Range<Int>, firstPosition: Int, blockTable: [BlockID],
            adapter: (any ResidentAdapter)? = nil
        ) {
            self.tokenRange = tokenRange
            self.firstPosition = firstPosition
            self.blockTable = blockTable
            self.adapter = adapter
        }

        /// Whether both are the same run, with the same adapter object.
        public static func == (left: Sequence, right: Sequence) -> Bool {
            left.tokenRange == right.tokenRange && left.firstPosition == right.firstPosition
                && left.blockTable == right.blockTable && left.adapter === right.adapter
        }
    }

    /// The tokens to compute, (T).
    public var tokenIDs: [TokenID]
    /// The runs the tokens belong to, (S), in the order of their tokens.
    public var sequences: [Sequence]
    /// Ascending indices into `tokenIDs` of the tokens whose logits are wanted.
    public var logitTokenIndices: [Int]
    /// Ascending indices into `tokenIDs` of the tokens whose last hidden states are wanted.
    public var hiddenTokenIndices: [Int]
    /// Rows of logits that tokens are chosen from on the device, at most one draw a row; for runners that do so.
    public var draws: [TokenDraw] = []
    /// For each token which draw of the step launched before chooses it; `tokenIDs` are 0 then. Empty where they are the
    /// tokens.
    public var tokenSources: [Int] = []

    /// A step's work.
    public init(
        tokenIDs: [TokenID], sequences: [Sequence], logitTokenIndices: [Int], hiddenTokenIndices: [Int] = []
    ) {
        self.tokenIDs = tokenIDs
        self.sequences = sequences
        self.logitTokenIndices = logitTokenIndices
        self.hiddenTokenIndices = hiddenTokenIndices
    }

    /// Position of each token in its sequence, (T).
    public var positions: [Int32] {
        sequences.flatMap { sequence in
            sequence.tokenRange.indices.map { Int32(sequence.firstPosition + $0 - sequence.tokenRange.lowerBound) }
        }
    }
}
