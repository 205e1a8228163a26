import Glibc
import Testing

@testable import Terminal

@Suite struct LineReaderTests {
    /// The lines of a file with this content.
    private func lines(_ bytes: [UInt8]) throws -> [String] {
        let file = try #require(tmpfile())
        defer { fclose(file) }
        fwrite(bytes, 1, bytes.count, file)
        fflush(file)
        lseek(fileno(file), 0, SEEK_SET)
        var reader = LineReader(fileno(file))
        var lines: [String] = []
        while let line = reader.next() { lines.append(line) }
        return lines
    }

    @Test func endsOfLineAreTakenOff() throws {
        #expect(try lines(Array("a\n\nb\r\nlast".utf8)) == ["a", "", "b", "last"])
        #expect(try lines([]) == [])
        #expect(try lines(Array("\n".utf8)) == [""])
    }

    @Test func lineMayBeAMegabyte() throws {
        let long = String(repeating: "x", count: 1_000_000)
        #expect(try lines(Array("\(long)\nafter\n".utf8)) == [long, "after"])
    }

    @Test func invalidTextIsReplacedAndZerosStay() throws {
        #expect(try lines([0x61, 0xFF, 0x62, 0x0A, 0x63, 0x00, 0x64]) == ["a\u{FFFD}b", "c\0d"])
    }
}
