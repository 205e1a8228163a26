import ServingEngine
import Testing

@Suite struct SamplingParametersTests {
    @Test func valuesOutOfRangeAreNamed() {
        let cases: [(String, SamplingParameters)] = [
            ("temperature", SamplingParameters(temperature: -0.1)),
            ("temperature", SamplingParameters(temperature: .nan)),
            ("temperature", SamplingParameters(temperature: .infinity)),
            ("topK", SamplingParameters(topK: -1)),
            ("topP", SamplingParameters(topP: 0)),
            ("topP", SamplingParameters(topP: 1.01)),
            ("topP", SamplingParameters(topP: .nan)),
            ("minP", SamplingParameters(minP: -0.5)),
            ("typicalP", SamplingParameters(typicalP: 0)),
            ("repetitionPenalty", SamplingParameters(repetitionPenalty: 0)),
            ("repetitionPenalty", SamplingParameters(repetitionPenalty: .nan)),
            ("repetitionWindow", SamplingParameters(repetitionWindow: 0)),
            ("presencePenalty", SamplingParameters(presencePenalty: 2.1)),
            ("frequencyPenalty", SamplingParameters(frequencyPenalty: -.infinity)),
            ("logitBias", SamplingParameters(logitBias: [3: .nan])),
            ("logitBias", SamplingParameters(logitBias: [3: 101])),
            ("logitBias", SamplingParameters(logitBias: [10: 1])),
            ("logitBias", SamplingParameters(logitBias: [-1: 1])),
        ]
        for (field, parameters) in cases {
            let error = #expect(throws: ParameterError.self) { try parameters.validate(vocabularyCount: 10) }
            #expect(error?.field == field)
        }
    }

    @Test func extremesWithinRangeAreTaken() throws {
        try SamplingParameters(
            temperature: 1e-30, topK: .max, topP: 1, minP: 1, typicalP: 1, repetitionPenalty: 1e30,
            repetitionWindow: .max, presencePenalty: -2, frequencyPenalty: 2,
            logitBias: [0: .infinity, 9: -.infinity, 5: -100], seed: .max
        ).validate(vocabularyCount: 10)
        try SamplingParameters.greedy.validate(vocabularyCount: 1)
    }
}
