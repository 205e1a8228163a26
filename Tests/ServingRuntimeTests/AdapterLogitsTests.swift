import Foundation
import ServingAdapters
import ServingJSON
import ServingRuntime
import ServingTensors
import Testing

/// Log-probabilities with adapters against those of PEFT.
@Suite struct AdapterLogitsTests {
    /// Largest difference of log-probabilities that stands for the same weights.
    private static let tolerance = 2e-3

    private func difference(_ scorer: TeacherForcedScorer, _ json: JSONValue) throws -> Double {
        let ids = try #require(json["input_ids"]?.arrayValue).compactMap { $0.intValue.map { TokenID($0) } }
        let logits = try #require(json["logits"]?.arrayValue)
        // Some fixtures keep some positions only.
        let positions = json["positions"]?.arrayValue?.compactMap(\.intValue) ?? Array(ids.indices)
        try #require(positions.count == logits.count && !positions.isEmpty)
        var largest = 0.0
        var place = 0
        try scorer.score(ids, top: scorer.vocabularyCount) { position in
            defer { place += 1 }
            guard let kept = positions.firstIndex(of: place) else { return }
            let row = try #require(logits[kept].arrayValue).compactMap(\.doubleValue)
            let highest = row.max() ?? 0
            let total = highest + log(row.reduce(0) { $0 + exp($1 - highest) })
            for (id, value) in zip(position.ids, position.logProbabilities) {
                largest = max(largest, abs(value - (row[Int(id)] - total)))
            }
        }
        #expect(place == ids.count)
        return largest
    }

    private func scorer(_ fixture: AdapterFixture, merging path: String? = nil) throws -> TeacherForcedScorer {
        var options = LocalModel.Options(threadCount: 2, float32: true)
        options.mergedAdapterPath = path
        return try TeacherForcedScorer(path: fixture.modelPath, tokenCount: 64, options: options)
    }

    @Test(arguments: AdapterFixture.all) func areThoseOfPEFT(_ fixture: AdapterFixture) throws {
        let scorer = try scorer(fixture)
        let json = try fixture.json()
        let without = try difference(scorer, json)
        #expect(without > 10 * Self.tolerance, "the adapter makes no difference to speak of")
        try scorer.use(adapterFolders: fixture.folders)
        let found = try difference(scorer, json)
        #expect(found <= Self.tolerance, "\(found)")
    }

    @Test(arguments: AdapterFixture.all) func areTheSameWithTheAdapterInTheWeights(_ fixture: AdapterFixture) throws {
        let scorer = try scorer(fixture, merging: fixture.folders[0])
        let found = try difference(scorer, try fixture.json())
        #expect(found <= Self.tolerance, "\(found)")
    }

    @Test(arguments: AdapterFixture.merges) func ofMergesAreThoseOfPEFT(_ fixture: AdapterFixture) throws {
        let json = try fixture.json()
        let call = try #require(json["call"])
        let kind = try #require(call["combination_type"]?.stringValue.flatMap(AdapterMergeStrategy.init(rawValue:)))
        var merge = AdapterMerge(
            ids: ["a", "b"], weights: try #require(call["weights"]?.arrayValue).compactMap(\.doubleValue),
            strategy: kind,
            density: call["density"]?.doubleValue ?? 1)
        if call["majority_sign_method"]?.stringValue == "frequency" { merge.majoritySignMethod = .frequency }
        let scorer = try scorer(fixture)
        try scorer.use(adapterFolders: fixture.folders, merge: merge)
        let found = try difference(scorer, json)
        #expect(found <= Self.tolerance, "\(found)")
    }
}
