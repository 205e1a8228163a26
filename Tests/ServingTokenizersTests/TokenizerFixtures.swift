import Foundation
import ServingJSON
import ServingTensors
import ServingTokenizers
import Testing

/// Tokenizers and what the reference made of stress lines.
struct TokenizerFixture: CustomTestStringConvertible, Sendable {
    let name: String
    /// tokenizer.json or tokenizer.model.
    let tokenizerPath: String
    /// Rows of text, ids and decoded text.
    let expectedPath: String

    var testDescription: String { name }

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let small: [TokenizerFixture] = {
        let folder = root.appendingPathComponent("Tests/Fixtures/tokenizers").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".json") || $0.hasSuffix(".model") }.sorted().map { file in
            let name = String(file.prefix(upTo: file.lastIndex(of: ".") ?? file.endIndex))
            return TokenizerFixture(
                name: name, tokenizerPath: "\(folder)/\(file)", expectedPath: "\(folder)/\(name).jsonl")
        }
    }()

    /// Real tokenizers beside the repository, where they are.
    static let real: [TokenizerFixture] = {
        let folder = root.deletingLastPathComponent().appendingPathComponent("shared/fixtures/tokenizer").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            let file = ["tokenizer.json", "tokenizer.model"].map { "\(folder)/\(name)/\($0)" }
                .first { FileManager.default.fileExists(atPath: $0) }
            return file.map {
                TokenizerFixture(name: name, tokenizerPath: $0, expectedPath: "\(folder)/\(name)/expected.jsonl")
            }
        }
    }()

    static func named(_ name: String) throws -> TokenizerFixture {
        struct Missing: Error { let name: String }
        guard let fixture = small.first(where: { $0.name == name }) else { throw Missing(name: name) }
        return fixture
    }

    var bytes: [UInt8] { FileManager.default.contents(atPath: tokenizerPath).map { Array($0) } ?? [] }

    func load() throws -> Tokenizer {
        tokenizerPath.hasSuffix(".model")
            ? try Tokenizer(sentencePiece: bytes) : try Tokenizer(tokenizerJSON: bytes)
    }

    struct Row {
        let text: String
        let ids: [TokenID]
        let plainIDs: [TokenID]
        let decodedIDs: [TokenID]
        let decoded: String
        let decodedWithoutSpecial: String?
    }

    func rows() throws -> [Row] {
        let data = FileManager.default.contents(atPath: expectedPath).map { Array($0) } ?? []
        return try data.split(separator: 10).map { line in
            let row = try JSONValue(parsing: Array(line))
            func ids(_ key: String) -> [TokenID]? { row[key]?.arrayValue?.map { TokenID($0.intValue ?? -1) } }
            return Row(
                text: row["text"]?.stringValue ?? "", ids: ids("ids") ?? [], plainIDs: ids("ids_plain") ?? [],
                decodedIDs: ids("dec_ids") ?? ids("ids") ?? [], decoded: row["decoded"]?.stringValue ?? "",
                decodedWithoutSpecial: row["decoded_skip"]?.stringValue)
        }
    }
}

/// A seeded generator: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    /// Text of ASCII, white space, contractions and scalars of all planes.
    mutating func text(count: Int) -> String {
        let parts = [
            " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'ſ", "'", "a", "Bc", "DE", "é", "e\u{301}", "1", "23", "²",
            "/", "//",
            ".", "-", "_", "\u{A0}", "\u{3000}", "你", "カ", "ǅ", "ʰ", "🙂", "\u{200D}", "▁", "\u{0}",
        ]
        var text = ""
        for _ in 0..<count {
            if Int.random(in: 0..<4, using: &self) > 0 {
                text += parts.randomElement(using: &self) ?? ""
            } else if let scalar = Unicode.Scalar(UInt32.random(in: 0..<0x3_0000, using: &self)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
