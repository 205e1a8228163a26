import ServingJSON
import ServingModels
import ServingTensors
import Testing

@Suite("Rotary frequencies of config.json")
struct RopeScalingTests {
    static let cases: [String] = {
        let json = try? Fixtures.json(Fixtures.folder + "/rope/expected.json")
        return json?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
    }()

    @Test func casesAreHere() { #expect(Self.cases.count >= 20) }

    @Test(arguments: cases) func matchThePublishedFormulas(_ name: String) throws {
        let all = try #require(try Fixtures.json(Fixtures.folder + "/rope/expected.json").arrayValue)
        let item = try #require(all.first { $0["name"]?.stringValue == name })
        let config = try DecoderConfig(
            huggingFace: try #require(item["config"]?.objectValue), contextLength: item["context"]?.intValue)
        let rotations = try #require(item["rotations"]?.arrayValue)
        try #require(config.rotaries.count == rotations.count)
        for (rotary, expected) in zip(config.rotaries, rotations) {
            let frequencies = try #require(expected["frequencies"]?.arrayValue).compactMap(\.doubleValue)
            try #require(rotary.inverseFrequencies.count == frequencies.count)
            for (found, expected) in zip(rotary.inverseFrequencies, frequencies) {
                #expect(abs(Double(found) - expected) <= 2e-7 * expected)
            }
            let magnitude = try #require(expected["magnitude"]?.doubleValue)
            #expect(abs(Double(rotary.magnitude) - magnitude) <= 1e-6)
        }
    }

    @Test func longRopeServesItsFirstLengthUnlessAskedForMore() throws {
        var config: JSONObject = try #require(
            try JSONValue(
                parsing: """
                    {"model_type": "phi3", "vocab_size": 320, "hidden_size": 8, "intermediate_size": 8,
                     "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 1024,
                     "original_max_position_embeddings": 64}
                    """
            ).objectValue)
        config["rope_scaling"] = ["type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [2, 2, 2, 2]]
        let short = try DecoderConfig(huggingFace: config)
        #expect(short.contextLength == 64)
        #expect(short.rotaries[0].inverseFrequencies[0] == 1)
        let long = try DecoderConfig(huggingFace: config, contextLength: 65)
        #expect(long.contextLength == 65)
        #expect(long.rotaries[0].inverseFrequencies[0] == 0.5)
        // The factor on cosine and sine belongs to the model, not to the length served.
        #expect(short.rotaries[0].magnitude == long.rotaries[0].magnitude)
        #expect(short.rotaries[0].magnitude > 1)
    }
}
