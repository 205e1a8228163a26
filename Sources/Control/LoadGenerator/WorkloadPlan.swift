/// What the requests of a load are like, before any is made.
public struct Workload: Sendable {
    /// Decides all that is drawn at random.
    public var seed: UInt64
    /// Number of adapters; 0 asks the base model only.
    public var adapterCount = 0
    /// How the requests share them.
    public var popularity = AdapterPopularity.distinct
    /// Tokens of the prompts.
    public var promptTokens = LengthDistribution.constant(128)
    /// Tokens of the answers.
    public var outputTokens = LengthDistribution.constant(64)
    /// Requests a second, arriving as a Poisson process; nil for a closed loop, where one follows another's end.
    public var rate: Double?

    /// A workload of prompts of 128 tokens and answers of 64 from the base model.
    public init(seed: UInt64) { self.seed = seed }
}

/// One request of a load.
struct PlannedRequest: Sendable, Equatable {
    /// From 0.
    var index: Int
    /// Number of the adapter, or nil for the base model.
    var adapter: Int?
    var promptTokens: Int
    var outputTokens: Int
    /// Seconds after the start at which it is to be sent; 0 in a closed loop.
    var arrival: Double
}

/// The requests of a workload, one after another, without end.
///
/// Adapters, lengths and arrivals are drawn from generators of their own: two workloads that differ in one of them
/// are alike in the others, which is what makes their figures comparable.
struct WorkloadPlan: Sendable {
    private let workload: Workload
    private let chooser: AdapterChooser?
    private var index = 0
    private var time = 0.0
    private var adapters: SeededGenerator
    private var prompts: SeededGenerator
    private var outputs: SeededGenerator
    private var arrivals: SeededGenerator

    init(_ workload: Workload) {
        self.workload = workload
        chooser = workload.adapterCount > 0 ? AdapterChooser(workload.popularity, count: workload.adapterCount) : nil
        adapters = SeededGenerator(seed: workload.seed, stream: 1)
        prompts = SeededGenerator(seed: workload.seed, stream: 2)
        outputs = SeededGenerator(seed: workload.seed, stream: 3)
        arrivals = SeededGenerator(seed: workload.seed, stream: 4)
    }

    /// The next request.
    mutating func next() -> PlannedRequest {
        defer { index += 1 }
        if let rate = workload.rate { time += arrivals.exponential() / rate }
        return PlannedRequest(
            index: index, adapter: chooser?.choose(index: index, &adapters),
            promptTokens: workload.promptTokens.draw(&prompts), outputTokens: workload.outputTokens.draw(&outputs),
            arrival: time)
    }
}
