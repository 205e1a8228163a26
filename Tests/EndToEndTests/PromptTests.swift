import Foundation
import Testing

/// `pbctl prompt` and its company on the sample model.
@Suite(
    .enabled(if: ProgramRun.program != nil, "pbctl was not built beside the tests"),
    .enabled(if: SampleModelFile.path != nil, "the sample model was not fetched"), .serialized)
struct PromptTests {
    private func prompt(_ arguments: [String], input: String = "") throws -> ProgramRun {
        try ProgramRun(["prompt", "--model", try #require(SampleModelFile.path)] + arguments, input: input)
    }

    private func object(_ text: some StringProtocol) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func answersTextFromArgumentsFilesAndStandardInputAlike() throws {
        let flags = ["--max-tokens", "14"]
        let expected = try prompt(flags + ["What is 2+2?"])
        #expect(expected.status == 0 && expected.error.isEmpty)
        #expect(expected.output.contains("4"))
        #expect(try prompt(flags, input: "What is 2+2?").output == expected.output)
        #expect(try prompt(flags + ["-"], input: "What is 2+2?").output == expected.output)
        #expect(
            try prompt(flags + ["--file", "-"], input: "What is 2+2?").output == expected.output)
    }

    @Test func jsonHoldsCountsAndTimings() throws {
        let run = try prompt(["--json", "--max-tokens", "5", "--logprobs", "2", "--seed", "3", "hi"])
        let json = try object(run.output)
        let usage = try #require(json["usage"] as? [String: Int])
        #expect(usage["completion_tokens"] == 5)
        #expect((json["output_ids"] as? [Int])?.count == 5)
        #expect(json["finish_reason"] as? String == "length")
        #expect((json["timings"] as? [String: Any])?["time_to_first_token"] is Double)
        #expect((json["logprobs"] as? [[String: Any]])?.count == 5)
        #expect(json["seed"] as? Int == 3)
    }

    @Test func aSeedGivesTheSameAnswerAndAnotherAnother() throws {
        let flags = ["--temperature", "1", "--max-tokens", "12", "--raw", "Once upon a time"]
        let first = try prompt(["--seed", "1"] + flags).output
        #expect(try prompt(["--seed", "1"] + flags).output == first)
        #expect(try prompt(["--seed", "2"] + flags).output != first)
    }

    @Test func stopTextMaySpanTokensAndIsLeftOut() throws {
        let whole = try prompt(["--raw", "--max-tokens", "24", "Once upon a time"]).output
        let words = whole.split(separator: " ")
        let stop = words[2...3].joined(separator: " ").dropFirst().dropLast()
        let run = try prompt(["--raw", "--max-tokens", "24", "--stop", String(stop), "--json", "Once upon a time"])
        let json = try object(run.output)
        #expect(json["finish_reason"] as? String == "stop")
        #expect(json["stop"] as? String == String(stop))
        let text = try #require(json["text"] as? String)
        #expect(whole.hasPrefix(text) && !text.contains(stop))
    }

    @Test func batchAnswersInOrderAndNamesWhatIsWrongInItsPlace() throws {
        let rows = """
            {"prompt": "Once upon a time", "max_tokens": 4, "id": "first"}
            {"prompt": "x", "temperature": -1}

            {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
            this is no JSON
            {"prompt_ids": [1, 2, 3], "max_tokens": 2, "ignore_eos": true, "logprobs": 1}
            {"prompt_ids": [999999999], "max_tokens": 2}
            {"prompt": "a", "messages": []}
            """
        let run = try prompt(["--local", "--batch", "-", "-o", "jsonl"], input: rows)
        let lines = try run.output.split(separator: "\n").map { try object($0) }
        #expect(run.status == 1 && run.complainsOnOneLine, "\(run.error)")
        #expect(lines.map { $0["index"] as? Int } == Array(0..<7))
        #expect(lines.map { $0["error"] != nil } == [false, true, false, true, false, true, true])
        #expect(lines[0]["id"] as? String == "first")
        #expect((lines[4]["output_ids"] as? [Int])?.count == 2)
    }

    @Test func rowsAnswerAsTheyDoAlone() throws {
        let rows = (0..<6).map {
            "{\"prompt\": \"Number \($0) is\", \"max_tokens\": 10, \"temperature\": 0.8, \"seed\": \($0)}"
        }
        let together = try prompt(["--batch", "-", "-o", "jsonl"], input: rows.joined(separator: "\n"))
        for (row, line) in zip(rows, together.output.split(separator: "\n")) {
            let alone = try object(prompt(["--batch", "-", "-o", "jsonl"], input: row).output)
            #expect(try object(line)["output_ids"] as? [Int] == alone["output_ids"] as? [Int])
        }
    }

    @Test(arguments: [
        ["--temperature", "nan"], ["--temperature=-1"], ["--temperature", "inf"], ["--top-k=-1"], ["--top-p", "2"],
        ["--min-p", "7"], ["--max-tokens=-1"], ["--samples", "0"], ["--stop", ""], ["--logit-bias", "999999=1"],
        ["--presence-penalty", "9"],
    ])
    func parametersOutOfRangeAreOneLine(flags: [String]) throws {
        let run = try prompt(flags + ["hi"])
        #expect(run.status == 64, "\(flags)")
        #expect(run.complainsOnOneLine, "\(run.error)")
    }

    @Test func oddButAllowedParametersWork() throws {
        #expect(try prompt(["--max-tokens", "0", "hi"]).status == 0)
        #expect(try prompt(["--top-k", "0", "--max-tokens", "2", "hi"]).status == 0)
        #expect(try prompt(["--temperature", "1e30", "--max-tokens", "2", "hi"]).status == 0)
    }

    @Test func emptyHugeAndOddTexts() throws {
        let empty = try prompt([""])
        #expect(empty.status == 64 && empty.complainsOnOneLine)
        let huge = try prompt([], input: String(repeating: "word ", count: 200_000))
        #expect(huge.status == 1 && huge.complainsOnOneLine && huge.error.contains("8192"))
        let path = try #require(SampleModelFile.path)
        let odd = try ProgramRun(
            ["prompt", "--model", path, "--max-tokens", "2"], input: Data([0x61, 0, 0xFF, 0xFE, 0xC3]))
        #expect(odd.status == 0)
    }

    @Test func interruptEndsWithItsStatus() throws {
        let path = try #require(SampleModelFile.path)
        let run = try ProgramRun(
            ["prompt", "--model", path, "--ignore-eos", "--max-tokens", "8000", "Tell a story"],
            interruptedAfterBytes: 20)
        #expect(run.status == 130)
        #expect(!run.output.isEmpty)
    }

    @Test func halfDownloadedModelIsCalledThat() throws {
        let path = try #require(SampleModelFile.path)
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent("half-\(UUID().uuidString).gguf")
        defer { try? FileManager.default.removeItem(at: copy) }
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        try handle.read(upToCount: 8_000_000)?.write(to: copy)
        let run = try ProgramRun(["prompt", "--model", copy.path, "hi"])
        #expect(run.status == 65 && run.complainsOnOneLine && run.error.contains("download"), "\(run.error)")
    }

    @Test func tokenizeGoesLineByLine() throws {
        let run = try ProgramRun(
            ["tokenize", "--model", try #require(SampleModelFile.path), "--jsonl"],
            input: "{\"text\": \"Hello<|im_end|>\"}\n{\"text\": \"\"}\n")
        let lines = try run.output.split(separator: "\n").map { try object($0) }
        #expect(lines[0]["ids"] as? [Int] == [19556, 2])
        #expect(lines[1]["ids"] as? [Int] == [])
    }

    @Test func logprobsSumToOne() throws {
        let run = try ProgramRun(
            ["engine", "logprobs", "--model", try #require(SampleModelFile.path), "--top", "3"],
            input: "{\"ids\": [1, 4093, 260]}\n")
        let positions = try #require(try object(run.output)["positions"] as? [[String: Any]])
        #expect(positions.count == 3)
        for position in positions {
            let chosen = try #require(position["logprobs"] as? [Double]).reduce(0) { $0 + exp($1) }
            let rest = exp(try #require(position["log_rest"] as? Double))
            #expect(abs(chosen + rest - 1) < 1e-4)
        }
    }

    @Test func pipedConversationAnswersLineByLine() throws {
        let run = try ProgramRun(
            ["chat", "--model", try #require(SampleModelFile.path), "-t", "0", "-n", "14"],
            input: "What is 2+2?\n/bye\n")
        #expect(run.status == 0)
        #expect(run.output.contains("4") && !run.output.contains(">>>"))
    }
}
