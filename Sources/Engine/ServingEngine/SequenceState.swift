import ServingTensors

/// Names a sequence; later arrivals have higher numbers.
typealias SequenceID = Int

/// One sample of a request as the scheduler sees it: its tokens, and how far their keys and values are computed.
///
/// There are no phases: whatever is missing between `computedTokenCount` and the tokens is what steps have to compute,
/// be it a prompt, the rest of a chunked one, one new token, or everything again after a preemption.
struct SequenceState {
    let id: SequenceID
    /// Index of the adapter in the ``WaitingQueue``.
    let adapterIndex: Int
    /// The adapter's weights; nil for the model alone.
    var adapter: (any ResidentAdapter)?
    let promptTokenCount: Int
    /// Prompt and answer so far.
    var tokenIDs: [TokenID]
    /// Tokens whose keys and values are in the cache.
    var computedTokenCount = 0
    /// Tokens that the step under way computes.
    var scheduledTokenCount = 0
    /// Blocks of the tokens, in order.
    var blockTable: [BlockID] = []
    /// Where the sequence's prefixes begin in the prefix cache; nil keeps them out of it.
    let prefixRoot: KVBlockPool.PrefixID?
    /// Full blocks that the prefix cache knows, and the name of the prefix they make.
    var rememberedBlockCount = 0
    var prefixID: KVBlockPool.PrefixID = 0
    /// Tokens that the adapter has been charged for; recomputing is free.
    var chargedTokenCount = 0
    /// Prompt positions whose logits are still wanted.
    var wantedPromptLogits: Range<Int>
    /// Whether the hidden states of all prompt tokens are wanted, and no next token.
    var wantsHiddenStates = false

    /// Tokens that steps have yet to compute.
    var missingTokenCount: Int { tokenIDs.count - computedTokenCount }

    /// Most tokens that may come from the prefix cache: the last token is always computed, for its logits.
    var reusableTokenCount: Int {
        if wantsHiddenStates { return 0 }
        return wantedPromptLogits.isEmpty ? tokenIDs.count - 1 : min(wantedPromptLogits.lowerBound, tokenIDs.count - 1)
    }
}
