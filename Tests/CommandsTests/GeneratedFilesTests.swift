import ArgumentParser
import Glibc
import Testing

@testable import Commands

/// What is made from the command tree and committed says what the tree says.
struct GeneratedFilesTests {
    private static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()

    private static func content(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func names(in folder: String) -> Set<String> {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: Set<String> = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.insert(name) }
        }
        return names
    }

    @Test func manualPagesAreThoseOfTheCommandTree() throws {
        let files = try GeneratedFile.manual()
        for file in files {
            #expect(
                Self.content("\(Self.root)/man/\(file.name)") == file.text,
                "man/\(file.name) is out of date: run 'make man'")
        }
        #expect(Self.names(in: Self.root + "/man") == Set(files.map(\.name)), "a page too many or too few in man/")
    }

    @Test func completionScriptsAreThoseOfTheCommandTree() {
        let files = GeneratedFile.completions()
        for file in files {
            #expect(
                Self.content("\(Self.root)/completions/\(file.name)") == file.text,
                "completions/\(file.name) is out of date: run 'make completions'")
        }
        #expect(Self.names(in: Self.root + "/completions") == Set(files.map(\.name)))
    }

    @Test func everyCommandHasAnExampleThatFitsATerminal() {
        var queue: [any ParsableCommand.Type] = [PbctlCommand.self]
        while let command = queue.popLast() {
            let configuration = command.configuration
            queue += configuration.subcommands + configuration.groupedSubcommands.flatMap(\.subcommands)
            let name = configuration.commandName ?? "\(command)"
            let lines = configuration.discussion.split(separator: "\n")
            let examples = lines.drop { $0 != "EXAMPLES:" }.dropFirst()
            #expect(!examples.isEmpty, "\(name) has no EXAMPLES in its discussion")
            let help = PbctlCommand.helpMessage(for: command, columns: 80)
            for line in examples {
                #expect(line.count <= 78, "\(name): the parser would wrap: \(line)")
                #expect(help.contains(line), "\(name): --help does not show: \(line)")
            }
        }
    }

    @Test func everyPageHasTheSectionsThatReadersLookFor() throws {
        for file in try GeneratedFile.manual() {
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "ENVIRONMENT", "FILES", "EXIT STATUS"] {
                #expect(file.text.contains(".Sh \(section)\n"), "\(file.name) lacks \(section)")
            }
        }
    }

    /// A tree with what is hard about them: a hidden command, values, a default, text that mdoc takes for a macro.
    private static let dump = #"""
        {"command": {"commandName": "pbctl", "subcommands": [
            {"commandName": "secret", "shouldDisplay": false},
            {"commandName": "do", "abstract": "Do it.", "aliases": ["act"],
             "discussion": ".hidden files count. C:\\ too.\n\nSee --way.\n\nEXAMPLES:\n  pbctl do --way quick \\\n    now",
             "arguments": [
                {"kind": "option", "abstract": "Which way.", "valueName": "way", "isOptional": true,
                 "names": [{"kind": "long", "name": "way"}, {"kind": "short", "name": "w"}],
                 "allValues": ["quick", "right"], "defaultValue": "right"},
                {"kind": "positional", "abstract": "When.", "valueName": "time", "isRepeating": true}]}]}}
        """#

    @Test func pagesAreThoseOfCommandsThatAreShown() throws {
        let pages = try Manual(dump: Self.dump).pages
        #expect(pages.map(\.fileName) == ["pbctl.1", "pbctl-do.1"])
        #expect(pages[0].text.contains(".It Cm do\nDo it.\n"))
        #expect(!pages[0].text.contains("secret"))
    }

    @Test func pagesNameOptionsWithTheirValuesAndDefaults() throws {
        let text = try Manual(dump: Self.dump).pages[1].text
        #expect(text.contains(".Nm pbctl do\n.Op Ar options\n.Ar time ...\n"))
        #expect(text.contains(".It Fl w , Fl \\-way Ar way\nWhich way.\n(values: quick, right; default: right)\n"))
        #expect(text.contains("Another name for it: pbctl act.\n"))
        #expect(text.contains(".Xr pbctl 1\n"))
    }

    @Test func textIsNotTakenForMacros() throws {
        let text = try Manual(dump: Self.dump).pages[1].text
        #expect(text.contains("\n.Pp\n\\&.hidden files count.\nC:\\e too.\n.Pp\nSee \\-\\-way.\n"))
        #expect(text.contains(".Bd -literal\npbctl do \\-\\-way quick \\e\n  now\n.Ed\n"))
    }
}
