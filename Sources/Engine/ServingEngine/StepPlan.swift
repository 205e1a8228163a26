import ServingTensors

/// What one step computes and what is wanted of it. Made by the ``Scheduler``, carried out by the engine loop.
struct StepPlan {
    /// The part of one sequence.
    struct Run {
        let sequenceID: SequenceID
        /// Where the sequence stands among the running ones.
        let place: Int
        /// Positions that are computed.
        let positions: Range<Int>
        /// Prompt positions whose logits are wanted; their rows follow one another from `firstRow`.
        let promptLogits: Range<Int>
        /// First row of logits of this run.
        let firstRow: Int
        /// Row to choose the next token from; nil when the run ends before the sequence's last token.
        let sampledRow: Int?
        /// Rows of hidden states of this run.
        let hiddenRows: Range<Int>
    }

    /// A sequence that was let in.
    struct Admission {
        let sequenceID: SequenceID
        /// Tokens found in the prefix cache.
        let cachedTokenCount: Int
    }

    /// The runs, in the order of ``ForwardBatch/sequences``.
    var runs: [Run] = []
    var batch = ForwardBatch(tokenIDs: [], sequences: [], logitTokenIndices: [])
    var admissions: [Admission] = []
    /// Sequences that lost their blocks and wait again.
    var preempted: [SequenceID] = []
}

/// What became of a run.
enum RunOutcome {
    /// Its tokens are computed; nothing was sampled.
    case computed
    /// Its tokens are computed and the sequence goes on with this one.
    case next(TokenID)
    /// Its tokens are computed and the sequence ends.
    case finished
}
