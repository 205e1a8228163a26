import Glibc
import Testing

@testable import Terminal

@Suite final class HistoryFileTests {
    private let folder: String
    private var path: String { folder + "/state/pbctl/history" }

    init() throws {
        var template = Array("/tmp/pbctl-history-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["/state/pbctl/history", "/state/pbctl", "/state", ""] { remove(folder + name) }
    }

    @Test func entriesComeBackOnceAndInOrder() {
        let history = HistoryFile(path: path)
        #expect(history.entries() == [])
        for entry in ["one", "two", " secret", "one", "", "   ", "many\nlines \\n \\ é", "e\u{301}", "\u{e9}"] {
            history.add(entry)
        }
        let found = history.entries().map { Array($0.utf8) }
        #expect(found == ["two", "one", "many\nlines \\n \\ é", "e\u{301}", "\u{e9}"].map { Array($0.utf8) })
    }

    @Test func fileIsItsOwnersAlone() {
        HistoryFile(path: path).add("x")
        chmod(path, 0o644)
        HistoryFile(path: path).add("y")
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func oldEntriesGoWhenTheFileIsTwiceTheLimit() {
        let history = HistoryFile(path: path, limit: 10)
        for number in 0..<25 { history.add("line \(number)") }
        #expect(history.entries().count == 10)
        history.compact()
        #expect(HistoryFile(path: path, limit: 100).entries() == (15..<25).map { "line \($0)" })
    }

    @Test func damagedFileGivesWhatIsText() throws {
        let history = HistoryFile(path: path)
        history.add("good")
        let file = open(path, O_WRONLY | O_APPEND)
        let bytes: [UInt8] = [0x00, 0x01, 0x0A, 0xFF, 0xFE, 0x0A] + Array("fine\nunfinished\\".utf8)
        write(file, bytes, bytes.count)
        close(file)
        #expect(history.entries() == ["good", "fine", "unfinished"])
    }

    @Test func placeThatCannotBeWrittenIsPassedOver() {
        for path in ["/proc/pbctl/history", "/dev/null/history", folder] {
            let history = HistoryFile(path: path)
            history.add("x")
            history.compact()
            #expect(history.entries() == [])
        }
    }
}
