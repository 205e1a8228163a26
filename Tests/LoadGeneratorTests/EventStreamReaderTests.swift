import Testing

@testable import LoadGenerator

@Suite struct EventStreamReaderTests {
    private func events(_ text: String, pieces: Int) -> [String] {
        var reader = EventStreamReader()
        var events: [String] = []
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let end = min(start + pieces, bytes.count)
            _ = bytes[start..<end].withUnsafeBytes { piece in
                reader.feed(piece) { events.append(String(decoding: $0, as: UTF8.self)) }
            }
            start = end
        }
        reader.finish { events.append(String(decoding: $0, as: UTF8.self)) }
        return events
    }

    @Test(arguments: [1, 2, 3, 7, 1000]) func eventsAreTheSameInPiecesOfAnySize(pieces: Int) {
        let text = "data:{\"a\":1}\n\n:\n\nevent: x\r\ndata: {\"b\":2}\r\n\r\ndata: [DONE]\n\ndata:\ndata: last"
        #expect(events(text, pieces: pieces) == ["{\"a\":1}", "{\"b\":2}", "[DONE]", "", "last"])
    }

    @Test func aLineWithoutEndIsGivenUp() {
        var reader = EventStreamReader()
        let piece = [UInt8](repeating: 0x61, count: 1 << 20)
        var isKept = true
        for _ in 0...17 where isKept {
            isKept = piece.withUnsafeBytes { reader.feed($0) { _ in } }
        }
        #expect(!isKept)
    }

    @Test func latenciesAreByNearestRank() throws {
        let summary = try #require(LatencySummary((1...200).map(Double.init).shuffled()))
        #expect(summary.p50 == 100 && summary.p90 == 180 && summary.p99 == 198 && summary.maximum == 200)
        #expect(summary.mean == 100.5 && summary.count == 200)
        #expect(LatencySummary([]) == nil)
        #expect(LatencySummary([4])?.p99 == 4)
    }
}
