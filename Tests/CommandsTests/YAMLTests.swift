import ServingJSON
import Testing

@testable import Commands

@Suite struct YAMLTests {
    private func only(_ text: String) throws -> JSONValue {
        let documents = try YAMLDocument.all(in: text)
        try #require(documents.count == 1)
        return documents[0].value
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let texts = [
            "plain", "", "with space", "yes", "No", "null", "~", "1", "1e5", "0x1F", "- dash", "a: b", "#c",
            "tab\there",
            "two\nlines", "ünï", "\"quoted\"", "'", "\\", "@at", "*star", "&and", "!bang", "%per", "/a/b.gguf", "a/b-1",
            "\u{1}", "2026-01-01", "=", "on", "n",
        ]
        let value: JSONValue = [
            "apiVersion": "pbctl/v1", "empty": [:], "none": [], "null": nil, "numbers": [0, -5, 1.5, 123_456_789_012],
            "texts": .array(texts.map { .string($0) }), "nested": [["a": [["b": [1, [2, [3]]]]], "c": true]],
            "odd key: #": ["deeper": ["x": "y"]],
        ]
        #expect(try only(YAMLText.text(of: value)) == value)
        for scalar: JSONValue in ["a b", 1, true, [1, 2], [["x": 1]]] {
            #expect(try only(YAMLText.text(of: scalar)) == scalar)
        }
    }

    @Test func aFileLooksAsPeopleWriteIt() {
        let value: JSONValue = [
            "apiVersion": "pbctl/v1", "name": "demo",
            "config": ["baseModel": "/models/m.gguf", "preloadedAdapters": ["tone/1"], "note": "two words"],
        ]
        #expect(
            YAMLText.text(of: value) == """
                apiVersion: pbctl/v1
                name: demo
                config:
                  baseModel: /models/m.gguf
                  preloadedAdapters:
                  - tone/1
                  note: "two words"

                """)
    }

    @Test func plainScalarsAreWhatJSONMakesOfThem() throws {
        let text = "a: yes\nb: 010\nc: 1_000\nd: 12e3\ne: .5\nf: 2026-11-25\ng: True\nh: ~\ni: '5'\nj: -7\nk: .inf\n"
        let value = try only(text)
        #expect(value["a"] == "yes" && value["b"] == "010" && value["c"] == "1_000" && value["d"] == 12000.0)
        #expect(value["e"] == ".5" && value["f"] == "2026-11-25" && value["g"] == true && value["h"] == .null)
        #expect(value["i"] == "5" && value["j"] == -7 && value["k"] == ".inf")
    }

    @Test func documentsAndLinesAreTold() throws {
        let documents = try YAMLDocument.all(
            in: "# first\nname: a\n---\n---\nname: b\nconfig:\n  x: 1\n  list:\n  - {y: 2}\n")
        #expect(documents.map { $0.value["name"] } == ["a", "b"])
        #expect(documents[1].lines["config.x"] == 7 && documents[1].lines["config.list[0].y"] == 9)
    }

    @Test(
        arguments: [
            ("a: [1, 2", 2), ("a: b: c", 1), ("a: 1\na: 2", 2), ("x:\n\t- y", 2), ("? [a]\n: b", 1), ("a: *nowhere", 1),
        ] as [(String, Int)])
    func malformedTextSaysWhere(_ text: String, _ line: Int) {
        #expect {
            try YAMLDocument.all(in: text)
        } throws: { error in
            guard let error = error as? YAMLDocument.Malformed else { return false }
            return abs((error.line ?? line) - line) <= 1 && !error.reason.isEmpty
        }
    }

    /// Nine levels of nine aliases each would be a billion values.
    @Test func aSmallTextCantBecomeAHugeValue() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let list = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(list)]\n"
        }
        let bomb = text
        #expect(throws: YAMLDocument.Malformed.self) { try YAMLDocument.all(in: bomb) }
        let deep = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
        #expect(throws: YAMLDocument.Malformed.self) { try YAMLDocument.all(in: deep) }
    }
}
