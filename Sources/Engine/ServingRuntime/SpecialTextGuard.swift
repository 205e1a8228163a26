import ServingJSON
import ServingTensors
import ServingTokenizers

/// Keeps text that users wrote from turning into special tokens on its way through a chat template.
///
/// A template writes special tokens as text, between pieces of the users' own text; once rendered, nobody can tell the
/// two apart. So each special token that a user's text spells gets a mark after its first character before rendering.
/// Afterwards the special tokens without a mark are tokens, and the text between, without marks, is encoded as text.
struct SpecialTextGuard {
    private let tokenizer: Tokenizer
    private let spellings: [(bytes: [UInt8], id: TokenID)]
    /// U+10FFFF: a noncharacter, which no text for interchange holds; a user's own is dropped.
    private static let mark: [UInt8] = [0xF4, 0x8F, 0xBF, 0xBF]

    init(tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        spellings = tokenizer.specialTokenIDs.compactMap { id in
            tokenizer.text(of: id).map { (Array($0.utf8), id) }
        }
        .filter { !$0.bytes.isEmpty }
        .sorted { $0.bytes.count > $1.bytes.count }
    }

    /// The value with a mark in every special token that a string in it spells. Roles are the template's business and
    /// stay as they are, as do keys.
    func shield(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): return .string(shield(text))
        case .array(let elements): return .array(elements.map(shield))
        case .object(let object):
            return .object(JSONObject(object.members.map { ($0, $0 == "role" ? $1 : shield($1)) }))
        case .null, .bool, .integer, .number: return value
        }
    }

    private func shield(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var hasChanged = false
        var offset = 0
        while offset < bytes.count {
            if bytes[offset...].starts(with: Self.mark) {
                offset += Self.mark.count
                hasChanged = true
            } else if let match = spelling(in: bytes, at: offset) {
                // Only the first character is passed over, so that a token spelled inside another is marked as well.
                let next = firstCharacterLength(match.bytes)
                result += bytes[offset..<offset + next] + Self.mark
                offset += next
                hasChanged = true
            } else {
                result.append(bytes[offset])
                offset += 1
            }
        }
        return hasChanged ? String(decoding: result, as: UTF8.self) : text
    }

    /// Tokens of a rendered conversation.
    func encode(_ rendered: String) -> [TokenID] {
        let bytes = Array(rendered.utf8)
        guard bytes.firstIndex(ofSequence: Self.mark) != nil else {
            return tokenizer.encode(rendered, specialTokens: .recognized, addingBOS: false)
        }
        var ids: [TokenID] = []
        var text: [UInt8] = []
        func flush() {
            guard !text.isEmpty else { return }
            ids += tokenizer.encode(
                String(decoding: text, as: UTF8.self), specialTokens: .asText, addingBOS: false)
            text = []
        }
        var offset = 0
        while offset < bytes.count {
            if bytes[offset...].starts(with: Self.mark) {
                offset += Self.mark.count
            } else if let match = spelling(in: bytes, at: offset) {
                flush()
                ids.append(match.id)
                offset += match.bytes.count
            } else {
                text.append(bytes[offset])
                offset += 1
            }
        }
        flush()
        return ids
    }

    private func spelling(in bytes: [UInt8], at offset: Int) -> (bytes: [UInt8], id: TokenID)? {
        spellings.first { $0.bytes[0] == bytes[offset] && bytes[offset...].starts(with: $0.bytes) }
    }

    private func firstCharacterLength(_ bytes: [UInt8]) -> Int {
        switch bytes[0] {
        case ..<0x80: 1
        case ..<0xE0: 2
        case ..<0xF0: 3
        default: 4
        }
    }
}

extension [UInt8] {
    fileprivate func firstIndex(ofSequence needle: [UInt8]) -> Int? {
        guard let first = needle.first, count >= needle.count else { return nil }
        return (0...(count - needle.count)).first { self[$0] == first && self[$0...].starts(with: needle) }
    }
}
