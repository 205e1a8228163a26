import Deployments
import Glibc
import Synchronization
import Testing

@testable import ReplicaLaunchers

@Suite struct ReplicaLogTests {
    private let scratch: ScratchFolder
    private let log: ReplicaLog

    init() throws {
        scratch = try ScratchFolder()
        log = ReplicaLog(path: scratch.path + "/log")
    }

    private func append(_ text: String) throws { try append(Array(text.utf8)) }

    private func append(_ bytes: [UInt8]) throws {
        let file = try log.openForAppending()
        #expect(LauncherFiles.writeAll(bytes, to: file) == 0)
        close(file)
    }

    private func lines(tail: Int? = nil, since: Timestamp? = nil) -> [String] {
        guard var reader = LogReader(log, tail: tail, since: since) else { return ["there is no log"] }
        var lines: [String] = []
        while let line = reader.nextLine() { lines.append(line) }
        return lines
    }

    @Test func linesAreGivenAsTheyAre() throws {
        try append("one\n\ntwo\r\nlast without an end")
        #expect(lines() == ["one", "", "two", "last without an end"])
        #expect(lines(tail: 1) == ["last without an end"])
        #expect(lines(tail: 3) == ["", "two", "last without an end"])
    }

    @Test func anEmptyLogHasNoLines() throws {
        #expect(lines() == ["there is no log"])
        #expect(log.lastLines().isEmpty)
        try append("")
        #expect(lines().isEmpty)
        #expect(lines(tail: 5).isEmpty)
        try append("\n")
        #expect(lines() == [""])
        #expect(lines(tail: 1) == [""])
    }

    @Test func whatIsNoTextIsReplaced() throws {
        try append([0x61, 0xFF, 0x62, 0x0A, 0xE2, 0x82, 0x0A, 0x00, 0x63])
        #expect(lines() == ["a\u{FFFD}b", "\u{FFFD}", "\u{0}c"])
    }

    @Test func aVeryLongLineComesInPieces() throws {
        let piece = ReplicaLog.maxLineBytes
        try append("short\n" + String(repeating: "x", count: 3 * piece + 5) + "\nend\n")
        let all = lines()
        #expect(all.map(\.utf8.count) == [5, piece, piece, piece, 5, 3])
        #expect(lines(tail: 2).last == "end")
        #expect(lines(tail: 2).joined().utf8.count <= piece + 8)
    }

    @Test func aLongLineIsNotCutWithinACharacter() throws {
        let text = "a" + String(repeating: "\u{20AC}", count: 60000)
        try append(text)
        #expect(lines().joined() == text)
        #expect(lines().count > 1)
    }

    /// Random logs against the plain definition: split at newlines, take the last.
    @Test func anyTailIsTheEndOfAllLines() throws {
        var random = SeededRandom(state: 7)
        for _ in 0..<15 {
            unlink(log.path)
            var expected: [String] = []
            var text = ""
            for _ in 0..<Int.random(in: 1...400, using: &random) {
                let isLong = Int.random(in: 0..<20, using: &random) == 0
                let count = Int.random(in: 0...(isLong ? 20000 : 30), using: &random)
                let line = String(
                    repeating: ["a", "\u{e9}", "\u{1F600}"].randomElement(using: &random) ?? "a", count: count)
                guard line.utf8.count < ReplicaLog.maxLineBytes else { continue }
                expected.append(line)
                text += line + "\n"
            }
            try append(text)
            #expect(lines() == expected)
            for _ in 0..<8 {
                let tail = Int.random(in: 0...(expected.count + 3), using: &random)
                #expect(lines(tail: tail) == expected.suffix(tail), "tail \(tail) of \(expected.count)")
            }
        }
    }

    @Test(arguments: [true, false]) func aLongLogKeepsItsNewestLines(usesHoles: Bool) throws {
        let limit: Int64 = 1 << 17
        var number = 0
        for _ in 0..<8 {
            var text = ""
            for _ in 0..<2500 {
                text += "line \(number)\n"
                number += 1
            }
            try append(text)
            log.trim(maxBytes: limit, usesHoles: usesHoles)
        }
        let status = try #require(LauncherFiles.status(log.path))
        let earlier = Int64(LauncherFiles.status(log.earlierPath)?.st_blocks ?? 0)
        #expect((Int64(status.st_blocks) + earlier) * 512 < 2 * limit)
        let all = lines()
        #expect(all.count > 5000)
        // The first may be cut in the copy; from there on there is no gap.
        let first = number - all.count
        #expect(Array(all.dropFirst()) == (first + 1..<number).map { "line \($0)" })
        #expect(lines(tail: 3) == (number - 3..<number).map { "line \($0)" })
        #expect(lines(tail: 5000) == (number - 5000..<number).map { "line \($0)" })
        #expect(log.lastLines(2) == ["line \(number - 2)", "line \(number - 1)"])
    }

    @Test func aShortLogIsNotTouched() throws {
        try append("one\ntwo\n")
        log.trim(maxBytes: 4096)
        #expect(lines() == ["one", "two"])
        #expect(LauncherFiles.names(in: scratch.path) == ["log"])
    }

    @Test func sinceGivesAllThatWasWrittenSince() throws {
        func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
        try append("one\n")
        log.noteSize(log.size, at: at(10))
        try append("two\n")
        log.noteSize(log.size, at: at(20))
        try append("three\n")
        #expect(lines(since: at(0)) == ["one", "two", "three"])
        #expect(lines(since: at(10)) == ["two", "three"])
        #expect(lines(since: at(15)) == ["two", "three"])
        #expect(lines(since: at(99)) == ["three"])
        #expect(lines(tail: 1, since: at(0)) == ["three"])
        #expect(lines(tail: 9, since: at(15)) == ["two", "three"])
        // Half a record, as after a crash.
        try scratch.write([1, 2, 3], to: "log.times")
        #expect(lines(since: at(99)) == ["one", "two", "three"])
        try scratch.write([UInt8](repeating: 0xFF, count: 16), to: "log.times")
        #expect(lines(since: at(99)) == ["one", "two", "three"])
    }

    /// A follower whose log grows as the test says.
    private final class Growth: Sendable {
        private let mayGrow = Mutex(true)
        func end() { mayGrow.withLock { $0 = false } }
        var isGrowing: Bool { mayGrow.withLock { $0 } }
    }

    private func follower(_ growth: Growth, tail: Int? = nil) throws -> LogFollower {
        guard let reader = LogReader(log, tail: tail, follows: true) else {
            throw NothingHappened(description: "there is no log")
        }
        return LogFollower(ReplicaID("a"), reader) { growth.isGrowing }
    }

    @Test func aFollowerGivesWholeLinesAndTheRestAtTheEnd() async throws {
        try append("one\ntw")
        let growth = Growth()
        let follower = try follower(growth)
        let one = try await follower.next()
        #expect(one?.text == "one")
        async let next = follower.next()
        try append("o\nthr")
        let two = try await next
        #expect(two?.text == "two")
        try append("ee")
        growth.end()
        let three = try await follower.next()
        #expect(three?.text == "three")
        let end = try await follower.next()
        #expect(end == nil)
    }

    @Test(arguments: [true, false]) func aFollowerThatKeepsUpLosesNothingWhenTheLogIsCut(usesHoles: Bool) async throws {
        try append("start\n")
        let growth = Growth()
        let follower = try follower(growth)
        var texts: [String] = []
        if let line = try await follower.next() { texts.append(line.text) }
        var number = 0
        for batch in 0..<12 {
            var text = ""
            // A short one after each cut: by its size alone an emptied file is told from one that has grown.
            for _ in 0..<(batch % 2 == 0 ? 2000 : 10) {
                text += "line \(number)\n"
                number += 1
            }
            try append(text)
            while texts.last != "line \(number - 1)", let line = try await follower.next() { texts.append(line.text) }
            log.trim(maxBytes: 20_000, usesHoles: usesHoles)
        }
        growth.end()
        while let line = try await follower.next() { texts.append(line.text) }
        #expect(texts == ["start"] + (0..<number).map { "line \($0)" })
    }

    @Test func aFollowerThatLagsGoesOnAtAWholeLineBehindTheHole() async throws {
        let text = (0..<20_000).map { "line \($0)\n" }.joined()
        try append(text)
        let growth = Growth()
        let follower = try follower(growth)
        let first = try await follower.next()
        #expect(first?.text == "line 0")
        log.trim(maxBytes: 160_000)
        growth.end()
        var rest: [String] = []
        while let line = try await follower.next() { rest.append(line.text) }
        #expect(rest.count < 19_999)
        #expect(rest.allSatisfy { $0.hasPrefix("line ") && !$0.contains("\u{0}") })
        #expect(rest.last == "line 19999")
        #expect(Array(rest.suffix(5000)) == (15_000..<20_000).map { "line \($0)" })
    }

    @Test func aFollowerEndsWithItsReadersTask() async throws {
        try append("one\n")
        let follower = try follower(Growth(), tail: 0)
        let task = Task { try await follower.next() }
        task.cancel()
        let line = try await task.value
        #expect(line == nil)
    }
}

/// Small and the same everywhere (splitmix64).
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
