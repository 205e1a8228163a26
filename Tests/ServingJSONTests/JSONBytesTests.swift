import ServingJSON
import Testing

@Suite("JSON in bytes") struct JSONBytesTests {
    @Test("Whatever is written reads back as the same value")
    func roundTrip() throws {
        var bytes = JSONBytes()
        bytes.openArray()
        for nasty in ["", "\"\\", "\n\r\t\u{0}\u{1F}\u{7F}", "é\u{1F600}", "</script>"] { bytes.string(nasty) }
        bytes.openObject()
        bytes.member("a\"", 5)
        bytes.member("b", Float?.none)
        bytes.key("c")
        bytes.openArray()
        bytes.closeArray()
        bytes.closeObject()
        for number in [Float.nan, .infinity, -0.5, 1e-30, 3e38] { bytes.number(number) }
        bytes.bool(false)
        bytes.closeArray()
        let value = try JSONValue(parsing: String(decoding: bytes.bytes, as: UTF8.self))
        #expect(value[2] == "\n\r\t\u{0}\u{1F}\u{7F}" && value[3] == "é\u{1F600}" && value[1] == "\"\\")
        #expect(value[5]?["a\""] == 5 && value[5]?["b"] == .null && value[5]?["c"] == [])
        #expect(value[6] == .null && value[7] == .null && value[8]?.doubleValue == -0.5)
        #expect(value[9]?.doubleValue.map { Float($0) } == 1e-30 && value[11] == false)
    }
}
