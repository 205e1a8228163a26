import Testing

@testable import Commands

@Suite struct ChatCommandLineTests {
    @Test(arguments: [
        ("Hello, world", ChatCommandLine.message("Hello, world")),
        ("  indented text ", .message("  indented text ")),
        ("   ", .nothing),
        ("", .nothing),
        ("/help", .help(nil)),
        ("/?", .help(nil)),
        ("/HELP set", .help(.set)),
        ("/help /set", .help(.set)),
        ("/set", .set(name: nil, value: nil)),
        ("/set temperature", .set(name: "temperature", value: nil)),
        ("/set stop  a b ", .set(name: "stop", value: "a b")),
        ("/show", .show(nil)),
        ("/show Context", .show(.context)),
        ("/system", .system(.show)),
        ("/system off", .system(.clear)),
        ("/system Be brief.\nVery.", .system(.set("Be brief.\nVery."))),
        ("/save a file.jsonl", .save(path: "a file.jsonl", isForced: false)),
        ("/save --force a.jsonl", .save(path: "a.jsonl", isForced: true)),
        ("/save --forced", .save(path: "--forced", isForced: false)),
        ("/load \"my chat.jsonl\"", .load(path: "my chat.jsonl")),
        (" /retry ", .retry),
        ("/stats", .statistics(nil)),
        ("/stats off", .statistics(false)),
        ("/model ./m.gguf", .model("./m.gguf")),
        ("/model", .model(nil)),
        ("/bye", .leave), ("/exit", .leave), ("/quit", .leave),
        ("//etc/passwd is a file", .message("/etc/passwd is a file")),
    ])
    func lineIsRead(_ line: String, _ expected: ChatCommandLine) throws {
        #expect(try ChatCommandLine(line) == expected)
    }

    @Test func blockIsAMessageWhateverItHolds() throws {
        #expect(try ChatCommandLine("/bye", isBlock: true) == .message("/bye"))
        #expect(try ChatCommandLine("a\n\n", isBlock: true) == .message("a\n\n"))
    }

    @Test func pastedTextIsAMessageUnlessItBeginsWithACommand() throws {
        #expect(try ChatCommandLine("/usr/bin/x: error\nline 2\n") == .message("/usr/bin/x: error\nline 2"))
        #expect(try ChatCommandLine("one\ntwo\r\n") == .message("one\ntwo"))
    }

    @Test(arguments: [
        ("/hepl", "did you mean /help?"), ("/retyr", "did you mean /retry?"), ("/usr/bin/env", "//"),
        ("/show parametres", "did you mean '/show parameters'?"), ("/show x", "info, parameters"),
        ("/save", "/save [--force] FILE"), ("/load", "/load FILE"), ("/clear all", "no argument"),
        ("/stats maybe", "on or off"), ("/help nothing-like-it", "/help"), ("/", "/help"),
    ])
    func mistakeSaysWhatToDo(_ line: String, _ hint: String) {
        do {
            let command = try ChatCommandLine(line)
            Issue.record("\(line) was read as \(command)")
        } catch {
            #expect(error.description.contains(hint))
        }
    }
}
