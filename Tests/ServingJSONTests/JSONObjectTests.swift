import ServingJSON
import Testing

@Suite struct JSONObjectTests {
    @Test func behavesAsAnOrderedDictionaryUnderRandomChanges() {
        var random = SplitMix64(state: 11)
        var object = JSONObject()
        var reference: [(key: String, value: JSONValue)] = []
        for step in 0..<5000 {
            let key = "k\(Int.random(in: 0..<40, using: &random))"
            let position = reference.firstIndex { $0.key == key }
            #expect(object[key] == position.map { reference[$0].value })
            if Int.random(in: 0..<3, using: &random) == 0 {
                object[key] = nil
                if let position { reference.remove(at: position) }
            } else {
                object[key] = .integer(Int64(step))
                if let position {
                    reference[position].value = .integer(Int64(step))
                } else {
                    reference.append((key, .integer(Int64(step))))
                }
            }
            #expect(object.keys == reference.map(\.key))
        }
    }

    @Test func equalityAndHashingIgnoreOrder() {
        let members = (0..<20).map { ("k\($0)", JSONValue.integer(Int64($0))) }
        let forward = JSONObject(members)
        let backward = JSONObject(members.reversed())
        #expect(forward == backward && forward.hashValue == backward.hashValue)
        var changed = backward
        changed["k3"] = 4
        #expect(forward != changed)
    }

    @Test func writtenTextReadsBack() throws {
        let value: JSONValue = [
            "text": "quote \" slash \\ line\n tab\t nul \u{0} \u{7F} \u{1F600}", "numbers": [1, -2.5, 1e300, 0],
            "empty": [[:], []], "flag": true, "nothing": nil,
        ]
        #expect(try JSONValue(parsing: value.text()) == value)
        #expect(try JSONValue(parsing: value.text(style: .pretty)) == value)
    }
}
