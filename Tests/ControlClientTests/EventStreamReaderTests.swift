import Testing

@testable import ControlClient

@Suite struct EventStreamReaderTests {
    private static let text =
        ": loading\ndata: {\"a\":1}\r\n\r\nevent: x\rdata:two\ndata: lines\n\n:\n\ndata\n\nretry: 5\ndata: é\u{1F600}\n\ndata: last"

    private static let frames: [StreamFrame] = [
        .comment("loading"), .data("{\"a\":1}"), .data("two\nlines"), .comment(""), .data(""), .data("é\u{1F600}"),
        .data("last"),
    ]

    @Test func framesDoNotDependOnHowTheStreamIsCut() throws {
        let bytes = Array(Self.text.utf8)
        for size in 1...bytes.count {
            var reader = EventStreamReader()
            var frames: [StreamFrame] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                let piece = Array(bytes[start..<min(start + size, bytes.count)])
                let more = reader.feed(piece)
                frames += try #require(more)
            }
            frames += reader.finish()
            #expect(frames == Self.frames, "pieces of \(size)")
        }
    }

    @Test func aStreamThatNeverEndsALineIsGivenUp() {
        var reader = EventStreamReader(limit: 1000)
        #expect(reader.feed(Array(repeating: 0x61, count: 1001)) == nil)
        var lines = EventStreamReader(limit: 1000)
        var isGivenUp = false
        for _ in 0..<200 where !isGivenUp { isGivenUp = lines.feed(Array("data: 12345\n".utf8)) == nil }
        #expect(isGivenUp)
    }
}
