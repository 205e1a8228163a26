package import HTTPServing
package import ServingEngine
package import ServingJSON
package import ServingTensors

/// What a gateway adds to a client's request: the member `pbctl` of its body.
package struct GatewayFields: Sendable, Equatable {
    /// `seed`: for requests that sample and name no seed themselves, so that the answer can be made again.
    package var seed: UInt64?
    /// `resume`: what the client has of the answer, when another replica began it.
    package var resumed: ResumedAnswer?

    /// Reads a body; one without the member asks for nothing.
    package init(_ body: JSONValue) throws(WireDecodingError) {
        guard let value = body["pbctl"], !value.isNull else { return }
        let fields = try WireObject(value, named: "GatewayFields", path: "pbctl")
        seed = try fields.integer("seed", "u64")
        resumed = try fields.object("resume", named: "ResumedAnswer").map { fields throws(WireDecodingError) in
            try ResumedAnswer(fields)
        }
    }

    /// Puts the seed into a request.
    package func apply(to request: inout GenerationRequest) {
        if request.sampling.seed == nil { request.sampling.seed = seed }
    }
}

/// How far the client of an interrupted stream is.
package struct ResumedAnswer: Sendable, Equatable {
    /// How far one choice is.
    package struct Choice: Sendable, Equatable {
        /// The tokens that the client was told of.
        package var tokens: [TokenID]
        /// Whether it was told of the end.
        package var isFinished: Bool
    }

    /// The answer's id; nil on routes that have none.
    package var id: String?
    /// The answer's time, in seconds since 1970.
    package var created: Int?
    /// The choices that were begun, by flat index.
    package var choices: [Int: Choice] = [:]

    init(_ fields: WireObject) throws(WireDecodingError) {
        id = try fields.string("id")
        created = try fields.integer("created", "i64", as: Int.self)
        for (place, value) in (try fields.array("choices") ?? []).enumerated() {
            let path = "\(fields.path(of: "choices"))[\(place)]"
            let fields = try WireObject(value, named: "ResumedChoice", path: path)
            let index: UInt32 = try WireObject.integer(
                fields.required("choice"), "u32", path: fields.path(of: "choice"))
            var tokens: [TokenID] = []
            for value in try fields.array("tokens") ?? [] {
                tokens.append(try WireObject.integer(value, "i32", path: fields.path(of: "tokens")))
            }
            let choice = Choice(tokens: tokens, isFinished: try fields.bool("finished") ?? false)
            guard choices.updateValue(choice, forKey: Int(index)) == nil else {
                throw fields.fails("choice", "choice \(index) is there twice")
            }
        }
    }

    /// Whether the client was told of a choice.
    func hasBegun(_ choice: Int) -> Bool { choices[choice] != nil }

    /// The first of the choices that an answer of so many doesn't have.
    package func strayChoice(count: Int) -> Int? { choices.keys.filter { $0 >= count }.min() }

    /// The requests for what is left of a prompt's answers, one a choice; `make` names them.
    package func requests(
        _ request: GenerationRequest, promptIndex: Int, makeID: () -> String
    ) -> [GenerationRequest] {
        (0..<request.sampleCount).compactMap { sample in
            let told = choices[promptIndex * request.sampleCount + sample]
            if told?.isFinished == true { return nil }
            var rest = request
            rest.id = makeID()
            rest.sampleCount = 1
            rest.firstSampleIndex = sample
            guard let told, !told.tokens.isEmpty else {
                if told != nil { rest.includesPromptLogProbabilities = false }
                return rest
            }
            rest.promptTokenIDs += told.tokens
            rest.continuedTokenCount = told.tokens.count
            rest.maxTokenCount = request.maxTokenCount.map { max(0, $0 - told.tokens.count) }
            rest.includesPromptLogProbabilities = false
            return rest
        }
    }

    /// What the choices cost that were finished before; `promptTokenCounts` are those of the prompts alone.
    package func usage(promptTokenCounts: [Int], choiceCount: Int) -> OpenAIUsage {
        var usage = OpenAIUsage()
        for (index, choice) in choices where choice.isFinished {
            usage.completionTokenCount += choice.tokens.count
            let promptIndex = index / choiceCount
            if index % choiceCount == 0, promptTokenCounts.indices.contains(promptIndex) {
                usage.promptTokenCount += promptTokenCounts[promptIndex]
            }
        }
        return usage
    }

    /// The end of a choice with the usage of the whole answer, the tokens of earlier runs among those generated.
    package func whole(_ finish: GenerationEvent.Finish, choice: Int) -> GenerationEvent.Finish {
        let count = choices[choice]?.tokens.count ?? 0
        var finish = finish
        finish.usage.promptTokenCount -= count
        finish.usage.completionTokenCount += count
        finish.usage.cachedTokenCount = min(finish.usage.cachedTokenCount, finish.usage.promptTokenCount)
        return finish
    }
}
