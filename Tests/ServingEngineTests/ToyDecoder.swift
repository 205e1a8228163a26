import ServingEngine
import ServingTensors

/// Writes each token as its text in a table, byte by byte, holding back unfinished characters; without a table, as
/// letters.
struct ToyDecoder: TokenTextDecoding {
    var table: [TokenID: [UInt8]] = [:]
    private var pending: [UInt8] = []

    init(_ table: [TokenID: [UInt8]] = [:]) { self.table = table }

    mutating func append(_ id: TokenID) -> String {
        pending += table[id] ?? [UInt8(97 + id % 26)]
        for count in stride(from: pending.count, through: 0, by: -1) {
            if let text = String(validating: pending[..<count], as: UTF8.self) {
                pending.removeFirst(count)
                return text
            }
        }
        return ""
    }

    mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }
}
