import ServingJSON
import Testing

@Suite struct JSONWriterFuzzRegressionTests {
    @Test(arguments: ["-0.0", "-0e5", "[-0.0]"])
    func negativeZeroKeepsItsSign(text: String) throws {
        let value = try JSONValue(parsing: text)
        let again = try JSONValue(parsing: value.text())
        #expect(again.text() == value.text())
        let number = again[0] ?? again
        #expect(number.doubleValue?.sign == .minus)
    }
}
