import ArgumentParser
import ModelHub
import ServingAdapters
import ServingJSON
import ServingModels
import ServingRuntime
import ServingTensors
import Terminal

/// `pbctl engine logprobs`
struct EngineLogprobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logprobs",
        abstract: "Print what a model expects after each of the given tokens.",
        discussion: """
            Reads {"ids": [...]} a line from standard input and writes, a line,
            {"positions": [{"ids": [...], "logprobs": [...], "log_rest": x}, ...]}: for each position the likeliest next
            tokens with the logarithms of their probabilities, and the logarithm of the others' sum (null where it is
            zero). No text is generated and no tokenizer is needed.

            EXAMPLES:
              echo '{"ids": [1, 4093, 260]}' | pbctl engine logprobs -m model.gguf --top 5
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup(title: "Adapter options") var adapters: AdapterOptions

    @Option(help: ArgumentHelp("How many tokens to list a position; at most the vocabulary.", valueName: "count"))
    var top = 10

    func validate() throws {
        guard top >= 0 else { throw ValidationError("--top \(top): expected at least 0") }
    }

    func run() async throws {
        // All lines are read first: the longest decides the context that is set up.
        var rows: [Result<[TokenID], RowError>] = []
        var reader = LineReader()
        while let line = reader.next() {
            guard line.utf8.contains(where: { $0 > 0x20 }) else { continue }
            rows.append(Self.tokenIDs(line))
        }
        let (scorer, limit) = try load(lengths: rows.map { (try? $0.get().count) ?? 1 })
        if let selection = adapters.selection {
            let location = try await AdapterOptions.locator().locate(
                selection.ids[0], source: selection.source, token: nil)
            try scorer.use(adapterFolders: [location.folder])
        }
        var failures = 0
        for row in rows {
            do {
                let ids = try row.get()
                guard ids.count <= limit else {
                    throw RowError("\(ids.count) tokens are more than the model's context or --context holds")
                }
                if try !write(ids, scorer) { failures += 1 }
            } catch let error as RowError {
                failures += 1
                try TextOutput.standard.writeLine(JSONValue(dictionaryLiteral: ("error", .string("\(error)"))).text())
            }
        }
        if failures > 0 { throw CommandFailure("\(failures) of \(rows.count) lines were not answered") }
    }

    /// A scorer for the longest line that the model's context holds, and that length.
    private func load(lengths: [Int]) throws -> (scorer: TeacherForcedScorer, limit: Int) {
        let options = try model.engine.localModelOptions()
        let lengths = Set(lengths + [1]).sorted(by: >)
        var refusal: (any Error)?
        for length in lengths where length <= options.contextLength ?? .max {
            do {
                let scorer = try TeacherForcedScorer(path: model.path(), tokenCount: length, options: options)
                return (scorer, length)
            } catch let error as ModelError where error.code == .invalidConfig {
                refusal = refusal ?? error
            }
        }
        throw refusal ?? CommandFailure.usage("--context holds none of the lines")
    }

    private static func tokenIDs(_ line: String) -> Result<[TokenID], RowError> {
        guard let value = try? JSONValue(parsing: line) else { return .failure(RowError("not JSON")) }
        let ids = value["ids"]?.arrayValue?.map { $0.intValue.flatMap { TokenID(exactly: $0) } }
        guard let ids, !ids.isEmpty, !ids.contains(nil) else {
            return .failure(RowError("expected {\"ids\": [...]} with at least one token id"))
        }
        return .success(ids.compactMap { $0 })
    }

    /// Writes one line; false where it holds an error.
    private func write(_ ids: [TokenID], _ scorer: TeacherForcedScorer) throws -> Bool {
        if let stray = ids.first(where: { $0 < 0 || $0 >= scorer.vocabularyCount }) {
            throw RowError("token id \(stray) is outside the vocabulary 0..<\(scorer.vocabularyCount)")
        }
        let output = TextOutput.standard
        try output.write("{\"positions\":[")
        var count = 0
        do {
            try scorer.score(ids, top: top) { position in
                guard !position.logRest.isNaN else {
                    throw RowError(
                        "the scores after token \(count + 1) are not numbers: weights of the model or the adapter are too large"
                    )
                }
                let ids = position.ids.map(String.init).joined(separator: ",")
                let logprobs = position.logProbabilities.map(Self.number).joined(separator: ",")
                let rest = Self.number(position.logRest)
                let separator = count > 0 ? "," : ""
                try output.write("\(separator){\"ids\":[\(ids)],\"logprobs\":[\(logprobs)],\"log_rest\":\(rest)}")
                count += 1
            }
        } catch let error as RowError {
            // What was written stays; the line is one object all the same.
            try output.writeLine("],\"error\":\(JSONValue.string(error.description).text())}")
            return false
        }
        try output.writeLine("]}")
        return true
    }

    /// Seven digits say all that float32 scores hold.
    private static func number(_ value: Double) -> String {
        value.isFinite ? Float(value).description : "null"
    }
}
