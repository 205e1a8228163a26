public import ServingTensors

/// The answers to one request, put together from its events.
public struct GenerationOutput: Sendable, Equatable {
    /// One answer.
    public struct Sample: Sendable, Equatable {
        /// Which sample it is.
        public var index: Int
        /// The text, without what stop strings and stop tokens leave out.
        public var text = ""
        /// The tokens with what was asked to be known of them; their texts together with the held-back rest are `text`.
        public var tokens: [GenerationEvent.Token] = []
        /// How it ended; nil while it goes on.
        public var finish: GenerationEvent.Finish?

        /// The tokens' ids.
        public var tokenIDs: [TokenID] { tokens.map(\.id) }
    }

    /// How the request began; nil when it ended before that.
    public private(set) var start: GenerationEvent.Start?
    /// The prompt's log probabilities, when asked for.
    public private(set) var prompt: [PromptToken] = []
    /// The mean of the prompt's last hidden states, when asked for.
    public private(set) var embedding: [Float]?
    /// The answers in order of their indices.
    public private(set) var samples: [Sample] = []

    /// Nothing yet.
    public init() {}

    /// Collects a request's events until its last sample has ended.
    public init(_ events: AsyncStream<GenerationEvent>) async {
        for await event in events { add(event) }
    }

    /// Takes the next event.
    public mutating func add(_ event: GenerationEvent) {
        switch event {
        case .started(let start):
            self.start = start
        case .prompt(let tokens):
            prompt = tokens
        case .embedding(let values):
            embedding = values
        case .token(let token):
            let place = place(of: token.sampleIndex)
            samples[place].tokens.append(token)
            samples[place].text += token.text
        case .finished(let finish):
            let place = place(of: finish.sampleIndex)
            samples[place].text += finish.text
            samples[place].finish = finish
        }
    }

    private mutating func place(of index: Int) -> Int {
        let place = samples.firstIndex { $0.index >= index } ?? samples.count
        if place == samples.count || samples[place].index != index { samples.insert(Sample(index: index), at: place) }
        return place
    }
}
