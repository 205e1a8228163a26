/// Where an adapter's id leads. Names are LoRAX's `adapter_source`.
public enum AdapterSource: String, Sendable, Hashable, CaseIterable {
    /// A folder on this machine: an absolute path (where those are allowed) or a path below the adapter root.
    case local
    /// A repository on a hub that speaks the Hugging Face API, `owner/name[@revision]`.
    case hub
    /// `name/version` in the registry of this machine.
    case pbase
}

/// How several adapters become one.
public enum AdapterMergeStrategy: String, Sendable, Hashable, CaseIterable {
    case linear
    case ties
    case dareLinear = "dare_linear"
    case dareTies = "dare_ties"
    case magnitudePrune = "magnitude_prune"
    case cat
    case svd
}

/// Whose sign wins where adapters disagree.
public enum MajoritySignMethod: String, Sendable, Hashable, CaseIterable {
    /// Of the sum of the values.
    case total
    /// Of the sum of the signs.
    case frequency
}

/// What a request wants merged.
public struct AdapterMerge: Sendable, Hashable {
    /// Most adapters that become one.
    public static let memberLimit = 32

    /// At least one id, at most ``memberLimit``.
    public var ids: [String]
    /// One a id.
    public var weights: [Double]
    /// How.
    public var strategy: AdapterMergeStrategy
    /// Share of the elements that pruning keeps, in (0, 1].
    public var density: Double
    /// For ties and dare_ties.
    public var majoritySignMethod: MajoritySignMethod
    /// For svd: the rank of what comes out; nil for the largest of the adapters'.
    public var svdRank: Int?

    /// A merge.
    public init(
        ids: [String], weights: [Double], strategy: AdapterMergeStrategy = .linear, density: Double = 1,
        majoritySignMethod: MajoritySignMethod = .total, svdRank: Int? = nil
    ) {
        self.ids = ids
        self.weights = weights
        self.strategy = strategy
        self.density = density
        self.majoritySignMethod = majoritySignMethod
        self.svdRank = svdRank
    }
}

/// The adapter that a request asks for.
public struct AdapterSelection: Sendable, Hashable {
    /// One adapter or several merged into one.
    public enum Choice: Sendable, Hashable {
        case single(String)
        case merged(AdapterMerge)
    }

    /// Which.
    public var choice: Choice
    /// Where its ids lead.
    public var source: AdapterSource
    /// The ids in it.
    public var ids: [String] {
        switch choice {
        case .single(let id): [id]
        case .merged(let merge): merge.ids
        }
    }

    /// The ids joined by commas.
    public var name: String { ids.joined(separator: ",") }

    /// Credential of the hub; part of the identity, so that nobody uses what they could not have fetched.
    public var token: String?

    /// A selection.
    public init(_ choice: Choice, source: AdapterSource, token: String? = nil) {
        self.choice = choice
        self.source = source
        self.token = token
    }
}
