import ServingJSON
import Testing

@Suite struct JSONParserTests {
    @Test func membersKeepTheirOrder() throws {
        let value = try JSONValue(parsing: #"{"z": 1, "a": 2, "m": {"y": null, "b": true}}"#)
        #expect(value.objectValue?.keys == ["z", "a", "m"])
        #expect(value.text() == #"{"z":1,"a":2,"m":{"y":null,"b":true}}"#)
    }

    @Test(arguments: [2, 8, 9, 40])
    func theLastOfARepeatedKeyWinsAndKeepsTheFirstPlace(count: Int) throws {
        let members = (0..<count).map { #""k\#($0)": \#($0)"# }
        let text = "{" + (members + [#""k1": "again""#, #""k0": "too""#, #""last": 0"#]).joined(separator: ",") + "}"
        let object = try #require(JSONValue(parsing: text).objectValue)
        #expect(object.count == count + 1)
        #expect(Array(object.keys.prefix(2)) == ["k0", "k1"] && object.keys.last == "last")
        #expect(object["k0"] == "too" && object["k1"] == "again" && object["last"] == 0)
    }

    @Test func repeatedKeysAreRefusedOnRequest() throws {
        let limits = JSONLimits(allowsRepeatedKeys: false)
        #expect(throws: JSONParseError(reason: "an object holds a key twice", offset: 6, isRepeatedKey: true)) {
            try JSONValue(parsing: #"{"a": {"b": 1, "b": 1}}"#, limits: limits)
        }
        #expect(try JSONValue(parsing: #"{"a": {"b": 1}, "b": 1}"#, limits: limits)["b"] == 1)
    }

    @Test(arguments: [0, 20])
    func canonicallyEquivalentKeysStayApart(otherCount: Int) throws {
        let others = (0..<otherCount).map { #","k\#($0)": 0"# }.joined()
        let object = try #require(
            JSONValue(parsing: "{\"\u{E9}\": 1, \"e\u{301}\": 2, \"\u{212A}\": 3, \"K\": 4" + others + "}").objectValue)
        #expect(object.count == otherCount + 4)
        #expect(object["\u{E9}"] == 1 && object["e\u{301}"] == 2 && object["\u{212A}"] == 3 && object["K"] == 4)
    }

    @Test func escapesStandForTheirCharacters() throws {
        let text = #""\"\\\/\b\f\n\r\t\u0041\u00e9\u4E2d\u0000""#
        #expect(try JSONValue(parsing: text) == .string("\"\\/\u{8}\u{C}\n\r\tA\u{E9}\u{4E2D}\u{0}"))
    }

    @Test func surrogatePairsJoinAndLoneOnesAreReplaced() throws {
        func scalars(_ text: String) throws -> [UInt32] {
            try JSONValue(parsing: text).stringValue?.unicodeScalars.map(\.value) ?? []
        }
        #expect(try scalars(#""\ud83d\ude00""#) == [0x1F600])
        #expect(try scalars(#""\ud83d""#) == [0xFFFD])
        #expect(try scalars(#""\ude00x""#) == [0xFFFD, 0x78])
        #expect(try scalars(#""\ud83d\ud83d\ude00""#) == [0xFFFD, 0x1F600])
        #expect(try scalars(#""\ud83d\u0041""#) == [0xFFFD, 0x41])
        #expect(try scalars(#""\udbff\udfff""#) == [0x10FFFF])
    }

    @Test(arguments: [
        ("0", JSONValue.integer(0)), ("-0", .integer(0)), ("9223372036854775807", .integer(.max)),
        ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number(0x1p63)),
        ("-9223372036854775809", .number(-0x1p63)), ("1.0", .number(1)), ("1e2", .number(100)),
        ("-1.5E-3", .number(-0.0015)), ("1e999", .number(.infinity)), ("-1e999", .number(-.infinity)),
        ("1e-999", .number(0)), ("5e-324", .number(.leastNonzeroMagnitude)), ("0.1", .number(0.1)),
        ("Infinity", .number(.infinity)), ("-Infinity", .number(-.infinity)),
        ("123456789012345678901234567890", .number(1.2345678901234568e29)),
    ])
    func numbersReadAsInPython(text: String, expected: JSONValue) throws {
        #expect(try JSONValue(parsing: text) == expected)
        #expect(try JSONValue(parsing: " [" + text + "] ")[0] == expected)
    }

    @Test func notANumberIsRead() throws {
        #expect(try JSONValue(parsing: "NaN").doubleValue?.isNaN == true)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}", "\"", "\"\\", "\"\\u", "\"\\u12\"", "\"\\uZZZZ\"", "\"\\x\"", "\"\n\"", "\"\u{0}\"", "01", "-",
        "-a",
        "1.", ".5", "1e", "1e+", "+1", "0x1", "tru", "nul", "True", "-Inf", "1 2", "{} x", "[]]", "'a'", "// x\n1",
    ])
    func textThatIsNotJSONIsRefused(text: String) {
        #expect(throws: JSONParseError.self) { try JSONValue(parsing: text) }
    }

    @Test func errorsSayWhere() {
        #expect(throws: JSONParseError(reason: "unexpected text after the value", offset: 3)) {
            try JSONValue(parsing: "{} x")
        }
        #expect(throws: JSONParseError(reason: "number with a leading zero", offset: 2)) {
            try JSONValue(parsing: "[-01]")
        }
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONValue(parsing: nested(512))
        #expect(throws: JSONParseError(reason: "nested too deeply", offset: 512)) {
            try JSONValue(parsing: nested(513))
        }
        let unclosed = String(repeating: "{\"a\":[", count: 1_000_000)
        #expect(throws: JSONParseError.self) { try JSONValue(parsing: unclosed) }
        // Depth is nesting, not how many there are.
        _ = try JSONValue(parsing: "[" + String(repeating: "[],{},", count: 2000) + "0]")
    }

    @Test func invalidUTF8IsReplacedAndAByteOrderMarkSkipped() throws {
        #expect(try JSONValue(parsing: [0x22, 0x61, 0xFF, 0x22]) == .string("a\u{FFFD}"))
        #expect(try JSONValue(parsing: [0x22, 0x5C, 0x6E, 0xC3, 0x22]) == .string("\n\u{FFFD}"))
        #expect(try JSONValue(parsing: [0xEF, 0xBB, 0xBF] + Array("[1]".utf8)) == [1])
        #expect(throws: JSONParseError.self) { try JSONValue(parsing: [0xEF, 0xBB]) }
        #expect(throws: JSONParseError.self) { try JSONValue(parsing: [0xFF, 0xFE, 0x31, 0x00]) }
    }

    @Test func mutatedTextNeverTraps() {
        var random = SplitMix64(state: 7)
        let text = Array(
            #"{"a": [1, -2.5e3, "x\u00e9\ud83d\ude00\n"], "b": {"c": null, "d": [true, false, {}]}, "e": 9223372036854775807}"#
                .utf8)
        for _ in 0..<4000 {
            var mutated = text
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                mutated[Int.random(in: 0..<mutated.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            mutated.removeLast(Int.random(in: 0..<8, using: &random))
            if let value = try? JSONValue(parsing: mutated), !value.text().contains("null") {
                // What was read can be written and reads as the same.
                #expect((try? JSONValue(parsing: value.text()).text()) == value.text())
            }
        }
    }
}

/// Sebastiano Vigna's generator, for repeatable tests.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite("JSON without extensions") struct StrictJSONTests {
    private func reads(_ bytes: [UInt8], strictly: Bool) -> Bool {
        (try? JSONValue(parsing: bytes, limits: JSONLimits(isStrict: strictly))) != nil
    }

    @Test(
        "What is read outside RFC 8259, or altered by reading it, is a fault where the limits are strict",
        arguments: ["NaN", "Infinity", "-Infinity", "1e999", #""\ud800""#, #""\udc00x""#, #"{"a\ud800":1}"#])
    func extensions(_ text: String) {
        #expect(reads(Array(text.utf8), strictly: false))
        #expect(!reads(Array(text.utf8), strictly: true))
    }

    @Test("Invalid UTF-8 is a fault in strings with escapes and without")
    func utf8() {
        for middle in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [UInt8(ascii: "\\"), UInt8(ascii: "n"), 0xC0, 0xAF]]
            as [[UInt8]]
        {
            let text = [UInt8(ascii: "\"")] + middle + [UInt8(ascii: "\"")]
            #expect(reads(text, strictly: false))
            #expect(!reads(text, strictly: true))
        }
        #expect(reads(Array(#""\ud83d\ude00é\u0000""#.utf8), strictly: true))
        #expect(reads(Array("{\"a\":[1,-2.5e3,null,true,\"é\"]}".utf8), strictly: true))
    }
}
