import ServingEngine
import ServingJSON
import ServingRuntime
import Terminal

/// The lines of a batch file.
enum BatchFile {
    /// Reads all rows; one that can't be read stands as its error, in its place.
    static func rows(of path: String) throws -> [Result<BatchRow, RowError>] {
        let lines = try InputText.content(of: path).split(whereSeparator: { $0 == "\n" || $0 == "\r\n" })
        return lines.filter { $0.utf8.contains { $0 > 0x20 } }.map { line in
            do {
                return .success(try BatchRow(line: String(line)))
            } catch {
                return .failure(error as? RowError ?? RowError("\(error)"))
            }
        }
    }
}

/// Answers the rows of a batch in one engine batch and writes the answers in the rows' order, each as soon as it and
/// those before it are done.
struct BatchRun: Sendable {
    let model: LocalModel
    let defaults: GenerationRequest
    let rows: [Result<BatchRow, RowError>]
    let format: PromptCommand.Format

    /// Rows in flight: enough to fill the batch, few enough to bound what waits.
    static let window = 512

    /// Runs all rows and returns how many failed.
    func run() async throws -> Int {
        var failureCount = 0
        var ignored: Set<String> = []
        var pending: [Int: Task<Result<[Answer], RowError>, Never>] = [:]
        var next = 0
        defer { for task in pending.values { task.cancel() } }
        for (index, row) in rows.enumerated() {
            while next < min(rows.count, index + Self.window) {
                if case .success(let row) = rows[next] { ignored.formUnion(row.ignoredFields) }
                pending[next] = start(next)
                next += 1
            }
            guard let task = pending.removeValue(forKey: index) else { continue }
            let result = await withTaskCancellationHandler {
                await task.value
            } onCancel: {
                task.cancel()
            }
            try Task.checkCancellation()
            if try !write(result, row, index) { failureCount += 1 }
            // Whoever reads a pipe wants answers as they come.
            try TextOutput.standard.flush()
        }
        if !ignored.isEmpty {
            try? TextOutput.error.writeLine("pbctl: ignored fields: \(ignored.sorted().joined(separator: ", "))")
        }
        return failureCount
    }

    private func start(_ index: Int) -> Task<Result<[Answer], RowError>, Never> {
        Task { [rows, model, defaults] in
            do {
                let row = try rows[index].get()
                var request = try row.request(id: "row-\(index)", model: model, defaults: defaults)
                switch try row.adapterChoice() {
                case .unsaid: break
                case .base: (request.adapterKey, request.adapter, request.adapterHold) = (nil, nil, nil)
                case .adapter(let selection): try await model.adapters.acquire(selection).apply(to: &request)
                }
                let answers = Answer.all(of: await GenerationOutput(try model.engine.submit(request)))
                if let failure = answers.compactMap(\.failure).first { return .failure(RowError(failure)) }
                return .success(answers)
            } catch {
                if case SubmissionError.invalidParameter(let error) = error {
                    return .failure(RowError(error.description(naming: ParameterError.rowFields)))
                }
                return .failure(error as? RowError ?? RowError("\(error)"))
            }
        }
    }

    /// Writes one row's answer; false where there is none.
    private func write(
        _ result: Result<[Answer], RowError>, _ row: Result<BatchRow, RowError>, _ index: Int
    ) throws -> Bool {
        let id: JSONValue? =
            switch row {
            case .success(let row): row.id
            case .failure(let error): error.id
            }
        switch result {
        case .success(let answers):
            if format == .text {
                for answer in answers { try TextOutput.standard.writeLine(answer.sample.text) }
            } else {
                var object = head(index, id)
                let objects = answers.map { $0.json(tokenizer: model.codec?.tokenizer) }
                if objects.count == 1 {
                    for (key, value) in objects[0].members { object[key] = value }
                } else {
                    object["samples"] = .array(objects.map { .object($0) })
                }
                try TextOutput.standard.writeLine(JSONValue.object(object).text())
            }
            return true
        case .failure(let error):
            if format == .text {
                try? TextOutput.error.writeLine("pbctl: row \(index + 1): \(error.description)")
            } else {
                var object = head(index, id)
                object["error"] = .string(error.description)
                try TextOutput.standard.writeLine(JSONValue.object(object).text())
            }
            return false
        }
    }

    private func head(_ index: Int, _ id: JSONValue?) -> JSONObject {
        var object = JSONObject([("index", .integer(Int64(index)))])
        if let id { object["id"] = id }
        return object
    }
}
