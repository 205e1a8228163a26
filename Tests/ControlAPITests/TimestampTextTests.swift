import ControlAPI
import Deployments
import Testing

@Suite struct TimestampTextTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_795_568_523_456, "2026-11-25T01:02:03.456Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)]) func writesAndReadsTheSameMoment(_ milliseconds: Int64, _ text: String)
    {
        #expect(Timestamp(milliseconds: milliseconds).iso8601 == text)
        #expect(Timestamp(iso8601: text)?.milliseconds == milliseconds)
    }

    @Test func everyDayOfFourCenturiesComesBack() {
        for day in Int64(-100_000)...60_000 {
            let moment = Timestamp(milliseconds: day * 86_400_000 + 43_200_001)
            guard Timestamp(iso8601: moment.iso8601) == moment else {
                Issue.record("\(moment.iso8601) is not day \(day)")
                return
            }
        }
    }

    @Test func readsOffsetsAndFractionsOfAnyLength() {
        let moment = Timestamp(milliseconds: 1_795_568_523_400)
        #expect(Timestamp(iso8601: "2026-11-25T03:02:03.4+02:00") == moment)
        #expect(Timestamp(iso8601: "2026-11-24T19:32:03.400999999-05:30") == moment)
        #expect(Timestamp(iso8601: "2026-11-25 01:02:03.4Z") == moment)
    }

    @Test(arguments: [
        "", "2026", "2026-11-25", "2026-11-25T01:02:03", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-25T24:00:00Z", "2026-11-25T01:60:00Z",
        "2026-11-25T01:02:03.Z", "2026-11-25T01:02:03Zx", "2026-11-25T01:02:03+2:00", "+026-11-25T01:02:03Z",
        "２０２６-11-25T01:02:03Z", "2026-11-25T01:02:03.456+24:00",
    ]) func refusesWhatIsNoTime(_ text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }

    @Test func tellsTimesBeyondFourDigitsOfAYearAsTheNearest() {
        #expect(Timestamp(milliseconds: .max).iso8601 == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: .min).iso8601 == "0000-01-01T00:00:00.000Z")
    }
}
