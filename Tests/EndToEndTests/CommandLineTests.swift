import Foundation
import Testing

/// The program as a shell sees it, without a model.
@Suite(.enabled(if: ProgramRun.program != nil, "pbctl was not built beside the tests"))
struct CommandLineTests {
    @Test(arguments: [
        [], ["prompt"], ["chat"], ["tokenize"], ["models"], ["models", "pull"], ["models", "list"], ["engine"],
        ["engine", "logprobs"], ["engine", "render-chat"], ["bench", "engine"], ["bench", "serve"], ["doctor"],
        ["completions"],
    ])
    func helpShowsAnExample(command: [String]) throws {
        let run = try ProgramRun(command + ["--help"])
        #expect(run.status == 0)
        #expect(run.output.contains("EXAMPLES:") && run.output.contains("USAGE:"))
        #expect(run.error.isEmpty)
    }

    @Test(arguments: [
        (["promt"], "did you mean 'pbctl prompt'?"), (["models", "lits"], "did you mean 'pbctl models list'?"),
        (["prompt", "--modle", "x"], "--model"), (["prompt", "--temperature", "-1", "hi"], "--option=-1"),
        (["tokenize", "--jsonl", "text"], "leave out the text"), (["prompt", "--batch", "f", "hi"], "--batch"),
        (["engine", "logprobs", "--top=-1"], "--top"), (["bench", "engine", "--streams", "0"], "--streams"),
        (["bench", "serve", "--url", "x"], "http://127.0.0.1:8080"), (["bench", "serve"], "--url"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--requests", "0"], "--requests 0"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--concurrency", "99999999"], "--concurrency"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--rate", "nan"], "--rate"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--prompt-tokens", "uniform:9,1"], "uniform:LOW,HIGH"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--popularity", "skewed"], "zipf:EXPONENT"),
        (["bench", "serve", "--url", "http://127.0.0.1", "--header", "x"], "NAME: VALUE"),
        (["completions", "tcsh"], "tcsh"), (["prompt", "--device", "gpu", "hi"], "cpu"),
    ])
    func mistakesAreOneLineWithAHint(arguments: [String], hint: String) throws {
        let run = try ProgramRun(arguments)
        #expect(run.status == 64)
        #expect(run.complainsOnOneLine, "\(run.error)")
        #expect(run.error.contains(hint), "\(run.error)")
        #expect(run.output.isEmpty)
    }

    @Test(arguments: [
        ("/no/such/model.gguf", 66), ("/etc/passwd", 65), ("/proc", 65), ("hf:a/b", 66), ("no-such-name", 66),
        ("hf:bad", 66),
    ])
    func whatIsNoModelIsRefusedOnOneLine(model: String, status: Int32) throws {
        let run = try ProgramRun(["prompt", "--model", model, "hi"])
        #expect(run.status == status)
        #expect(run.complainsOnOneLine, "\(run.error)")
    }

    @Test func aServerThatIsNotThereIsUnreachable() throws {
        // Port 9 (discard) of this machine: nobody has listened there for decades.
        let run = try ProgramRun(["bench", "serve", "--url", "http://127.0.0.1:9", "--requests", "1"])
        #expect(run.status == 69)
        #expect(run.complainsOnOneLine && run.output.isEmpty, "\(run.error)")
    }

    @Test func templateThatNeverEndsIsStopped() throws {
        let template = FileManager.default.temporaryDirectory.appendingPathComponent("loop-\(UUID().uuidString).jinja")
        defer { try? FileManager.default.removeItem(at: template) }
        let source =
            "{% macro f() %}{{ f() }}{% endmacro %}{% for a in range(99999) %}{% for b in range(99999) %}"
            + "{% endfor %}{% endfor %}{{ f() }}"
        try source.write(to: template, atomically: true, encoding: .utf8)
        let run = try ProgramRun(
            ["engine", "render-chat", "--template", template.path], input: "{\"messages\": []}\nnot json\n")
        let lines = run.output.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.hasPrefix("{\"error\":") })
    }

    @Test func worksWithoutAHome() throws {
        let run = try ProgramRun(["models", "list"], environment: ["PBCTL_HOME": "", "HOME": ""])
        #expect(run.status == 0)
    }

    @Test func homeThatIsAFileIsRefusedOnOneLine() throws {
        let run = try ProgramRun(["models", "pull", "/etc/passwd"], environment: ["PBCTL_HOME": "/dev/null"])
        #expect(run.status == 65)
        #expect(run.complainsOnOneLine, "\(run.error)")
    }

    @Test func versionIsTheSameEverywhere() throws {
        let flag = try ProgramRun(["--version"])
        #expect(try flag.output == ProgramRun(["version"]).output)
        #expect(flag.output.hasPrefix("pbctl "))
    }
}
