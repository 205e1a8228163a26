import Foundation
import Testing

/// Where output goes, and what of it survives a failure.
@Suite(
    .enabled(if: ProgramRun.program != nil, "pbctl was not built beside the tests"),
    .enabled(if: SampleModelFile.path != nil, "the sample model is not here: scripts/fetch-sample-model"))
struct OutputTests {
    /// Runs a shell script with the program as `$1` and the sample model as `$2`; gives what it wrote to standard
    /// error.
    private func shell(_ script: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c", script, "sh", try #require(ProgramRun.program), try #require(SampleModelFile.path),
        ]
        process.environment = ["PBCTL_HOME": "/nonexistent", "PATH": "/usr/bin:/bin"]
        let error = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = error
        try process.run()
        let text = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    private func lines(_ text: String) -> [Substring] { text.split(separator: "\n") }

    @Test(arguments: ["prompt --model \"$2\" --max-tokens 300 'Tell a story'", "prompt --help"])
    func aReaderThatLeavesEndsTheProgramQuietly(command: String) throws {
        let text = try shell("{ \"$1\" \(command); echo \"status $?\" >&2; } | head -c 0")
        #expect(text == "status 141\n")
    }

    @Test(arguments: [
        "prompt --model \"$2\" --max-tokens 3 hi", "models --help", "tokenize --model \"$2\" hi", "version",
    ])
    func aFullDiskIsSaid(command: String) throws {
        let text = try shell("\"$1\" \(command) >/dev/full; echo \"status $?\" >&2")
        #expect(lines(text).count == 2)
        #expect(text.hasPrefix("pbctl: cannot write the output: "))
        #expect(text.hasSuffix("status 1\n"))
    }

    @Test func linesThatCannotBeTokenizedLeaveTheOthers() throws {
        let path = try #require(SampleModelFile.path)
        let run = try ProgramRun(
            ["tokenize", "--model", path, "--jsonl"],
            input: "{\"text\": \"a\"}\nnot json\n\n{\"text\": 3}\n{\"text\": \"\"}\n")
        #expect(run.status == 1)
        #expect(run.error == "pbctl: 2 lines were not answered\n")
        let found = lines(run.output)
        try #require(found.count == 4)
        #expect(found[0].contains("\"ids\"") && found[0].contains("\"a\""))
        #expect(found[1].contains("not JSON"))
        #expect(found[2].contains("\"error\""))
        #expect(found[3].contains("\"ids\":[]"))
    }

    @Test func rowsThatCannotBeScoredLeaveTheOthers() throws {
        let path = try #require(SampleModelFile.path)
        let run = try ProgramRun(
            ["engine", "logprobs", "--model", path, "--top", "2"],
            input: "{\"ids\": [1, 2]}\nnot json\n{\"ids\": []}\n{\"ids\": [-1]}\n{\"ids\": [49152]}\n{\"ids\": [3]}\n")
        #expect(run.status == 1)
        #expect(run.complainsOnOneLine)
        let found = lines(run.output)
        try #require(found.count == 6)
        #expect(found[0].hasPrefix("{\"positions\":[{\"ids\":"))
        #expect(found[1...4].allSatisfy { $0.hasPrefix("{\"error\":") })
        #expect(found[5].hasPrefix("{\"positions\":[{\"ids\":"))
    }

    @Test func mistakesInParametersNameTheFlagOrTheField() throws {
        let path = try #require(SampleModelFile.path)
        let flag = try ProgramRun(["prompt", "--model", path, "--max-tokens=-4", "hi"])
        #expect(flag.error == "pbctl: --max-tokens must be an integer >= 0, not -4\n")
        let row = try ProgramRun(
            ["prompt", "--model", path, "--batch", "-", "-o", "jsonl"],
            input: "{\"prompt\": \"a\", \"max_tokens\": -4}\n")
        #expect(row.output == "{\"index\":0,\"error\":\"max_tokens must be an integer >= 0, not -4\"}\n")
        #expect(row.status == 1)
    }

    @Test func aCacheTooSmallIsRefusedWithWhatItTakes() throws {
        let path = try #require(SampleModelFile.path)
        let run = try ProgramRun(["prompt", "--model", path, "--kv-memory", "1M", "hi"])
        #expect(run.status == 1)
        #expect(run.complainsOnOneLine)
        // 30 layers x 3 heads x 64 elements x 2 bytes, keys and values, 8192 positions.
        #expect(run.error.contains("needs 180 MiB") && run.error.contains("1 MiB are allowed"), "\(run.error)")
    }

    @Test func benchPrintsItsNumbersAsJSON() throws {
        let path = try #require(SampleModelFile.path)
        let run = try ProgramRun(
            [
                "bench", "engine", "--model", path, "--prompt-tokens", "8", "--output-tokens", "4", "--repeats", "2",
                "-o",
                "json",
            ])
        #expect(run.status == 0)
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
        #expect((json["runs"] as? [Any])?.count == 2)
        #expect((json["decode_tokens_per_second"] as? Double).map { $0 > 0 } == true)
    }
}
