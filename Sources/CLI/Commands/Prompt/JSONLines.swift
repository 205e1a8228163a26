import ServingJSON
import Terminal

/// Commands that answer standard input line by line: one JSON value in, one out, in order. A line that is no JSON
/// gets an answer with an `error` and the others go on; blank lines are passed over.
enum JSONLines {
    /// Gives back how many lines were no JSON.
    @discardableResult
    static func forEach(_ answer: (JSONValue) throws -> JSONValue) throws -> Int {
        try lines { value, write in try write(answer(value)) }
    }

    /// The same where an answer is written in pieces, or several are given at once.
    @discardableResult
    static func lines(_ body: (JSONValue, (JSONValue) throws -> Void) throws -> Void) throws -> Int {
        var failureCount = 0
        let write = { (value: JSONValue) throws in try TextOutput.standard.writeLine(value.text()) }
        var reader = LineReader()
        while let line = reader.next() {
            guard line.utf8.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            do {
                try body(JSONValue(parsing: line), write)
            } catch let error as JSONParseError {
                failureCount += 1
                try write(["error": .string("not JSON: \(error)")])
            }
        }
        return failureCount
    }
}
