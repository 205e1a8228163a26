import Glibc
import Synchronization
import Testing

@testable import Terminal

@Suite struct ProgressBarTests {
    private let line = ProgressLine(title: "model.gguf", completed: 25_000_000, total: 100_000_000, bytesPerSecond: 5e6)

    @Test func lineSaysBytesRateAndTimeLeft() {
        #expect(line.plainText == "model.gguf: 25 %  25.0 MB/100.0 MB  5.0 MB/s  0:15")
        let unknown = ProgressLine(title: "x", completed: 999, total: nil, bytesPerSecond: nil)
        #expect(unknown.plainText == "x: 999 B")
        #expect(ProgressLine.duration(3725) == "1:02:05")
        #expect(ProgressLine.duration(.infinity) == "99:59:59")
    }

    @Test func lineFitsEveryWidth() {
        for width in 1...200 { #expect(line.text(width: width, colored: false).count <= width) }
        #expect(line.text(width: 80, colored: false).contains("━"))
        #expect(!line.text(width: 45, colored: false).contains("━"))
    }

    /// What a bar writes, updated at the given seconds.
    private func output(isBar: Bool, at seconds: [Int]) throws -> String {
        let (input, output) = makePipe()
        defer { close(input) }
        let start = ContinuousClock.now
        let time = Mutex(start)
        let bar = ProgressBar(
            title: "x", output: TextOutput(output, gathers: false), isBar: isBar, isColored: false, width: { 60 },
            now: { time.withLock { $0 } })
        for second in seconds {
            time.withLock { $0 = start + .seconds(second) }
            bar.update(completed: Int64(second) * 1000, total: 60_000)
        }
        bar.finish("done")
        close(output)
        var reader = LineReader(input)
        return reader.rest()
    }

    @Test func offATerminalALineComesEveryTenSeconds() throws {
        let lines = try output(isBar: false, at: Array(0...25)).split(separator: "\n")
        #expect(
            lines == [
                "x: 16 %  10.0 kB/60.0 kB  1.0 kB/s  0:50", "x: 33 %  20.0 kB/60.0 kB  1.0 kB/s  0:40", "done",
            ])
        #expect(try output(isBar: false, at: [0, 1, 2]) == "done\n")
    }

    @Test func barIsTakenAwayAtTheEnd() throws {
        let text = try output(isBar: true, at: [0, 1])
        #expect(text.contains("━") == false || text.contains("60.0 kB"))
        #expect(text.hasSuffix("\r\u{1B}[Kdone\n"))
    }
}
