import ServingJSON

/// Reads the normalizer, pre-tokenizer and decoder of a tokenizer.json.
struct TokenizerPipelineReader {
    private(set) var normalizer = Normalizer(steps: [])
    private(set) var preTokenizer = PreTokenizer(steps: [])
    private(set) var decoder = Decoder(steps: [])
    /// Whether words reach the model as bytes of the byte alphabet.
    private(set) var isByteLevel = false

    private static let depthLimit = 20

    init(document: JSONValue) throws(TokenizerError) {
        if let value = document["normalizer"], !value.isNull { try readNormalizer(value, "normalizer", 0) }
        if let value = document["pre_tokenizer"], !value.isNull { try readPreTokenizer(value, "pre_tokenizer", 0) }
        finishPreTokenizer()
        if let value = document["decoder"], !value.isNull {
            try readDecoder(value, "decoder", 0)
        } else {
            decoder.steps = [.joinBySpaces]
        }
    }

    private static func kind(_ value: JSONValue, _ field: String, _ depth: Int) throws(TokenizerError) -> String {
        guard depth < depthLimit else {
            throw .invalidField(field: field, expected: "at most \(depthLimit) levels", found: "more")
        }
        guard let kind = value["type"]?.stringValue else {
            throw TokenizerJSONReader.invalid("\(field).type", "a string", value["type"])
        }
        return kind
    }

    private static func list(_ value: JSONValue, _ key: String, _ field: String) throws(TokenizerError) -> [JSONValue] {
        guard let list = value[key]?.arrayValue else {
            throw TokenizerJSONReader.invalid("\(field).\(key)", "an array", value[key])
        }
        return list
    }

    private static func string(_ value: JSONValue, _ key: String, _ field: String) throws(TokenizerError) -> [UInt8] {
        guard let string = value[key]?.stringValue else {
            throw TokenizerJSONReader.invalid("\(field).\(key)", "a string", value[key])
        }
        return Array(string.utf8)
    }

    // MARK: Normalizer

    private mutating func readNormalizer(_ value: JSONValue, _ field: String, _ depth: Int) throws(TokenizerError) {
        let kind = try Self.kind(value, field, depth)
        switch kind {
        case "Sequence":
            for (position, element) in try Self.list(value, "normalizers", field).enumerated() {
                try readNormalizer(element, "\(field).normalizers[\(position)]", depth + 1)
            }
        case "NFC": normalizer.steps.append(.form(.nfc))
        case "NFD": normalizer.steps.append(.form(.nfd))
        case "NFKC": normalizer.steps.append(.form(.nfkc))
        case "NFKD": normalizer.steps.append(.form(.nfkd))
        case "Lowercase": normalizer.steps.append(.lowercase)
        case "StripAccents": normalizer.steps.append(.stripAccents)
        case "Nmt": normalizer.steps.append(.nmt)
        case "ByteLevel": normalizer.steps.append(.byteLevel)
        case "Prepend": normalizer.steps.append(.prepend(try Self.string(value, "prepend", field)))
        case "Strip":
            normalizer.steps.append(
                .strip(
                    left: value["strip_left"]?.boolValue ?? false, right: value["strip_right"]?.boolValue ?? false))
        case "Replace": normalizer.steps.append(.replace(try Self.replacement(value, field)))
        case "Precompiled":
            let text = try Self.string(value, "precompiled_charsmap", field)
            guard let blob = Base64.decode(text) else {
                throw TokenizerJSONReader.invalid(
                    "\(field).precompiled_charsmap", "base64", value["precompiled_charsmap"])
            }
            if !blob.isEmpty { normalizer.steps.append(.characterMap(try CharacterMap(blob))) }
        default: throw .unsupported(field: field, kind: kind)
        }
    }

    private static func replacement(_ value: JSONValue, _ field: String) throws(TokenizerError) -> TextReplacement {
        let content = try string(value, "content", field)
        let pattern = value["pattern"]
        if let literal = pattern?["String"]?.stringValue {
            return TextReplacement(target: .literal(Array(literal.utf8)), content: content)
        }
        guard let source = pattern?["Regex"]?.stringValue else {
            throw TokenizerJSONReader.invalid("\(field).pattern", "a String or Regex", pattern)
        }
        return TextReplacement(target: .pattern(try Pattern(source)), content: content)
    }

    // MARK: Pre-tokenizer

    private mutating func readPreTokenizer(_ value: JSONValue, _ field: String, _ depth: Int) throws(TokenizerError) {
        let kind = try Self.kind(value, field, depth)
        switch kind {
        case "Sequence":
            for (position, element) in try Self.list(value, "pretokenizers", field).enumerated() {
                try readPreTokenizer(element, "\(field).pretokenizers[\(position)]", depth + 1)
            }
        case "ByteLevel":
            if value["add_prefix_space"]?.boolValue ?? true { preTokenizer.steps.append(.prefixSpace) }
            if value["use_regex"]?.boolValue ?? true {
                preTokenizer.steps.append(.split(.scanner(WordScanner(kind: .gpt2)), .isolated, isInverted: false))
            }
            preTokenizer.steps.append(.mapBytes)
        case "Split": preTokenizer.steps.append(try Self.split(value, field))
        case "Digits":
            let isSingle = value["individual_digits"]?.boolValue ?? false
            preTokenizer.steps.append(
                .split(.scalars(.numeric), isSingle ? .isolated : .contiguous, isInverted: false))
        case "Punctuation":
            let name = value["behavior"]?.stringValue ?? "Isolated"
            preTokenizer.steps.append(
                .split(.scalars(.punctuation), try Self.behavior(name, field), isInverted: false))
        case "WhitespaceSplit": preTokenizer.steps.append(.split(.scalars(.space), .removed, isInverted: false))
        case "Whitespace": preTokenizer.steps.append(.whitespace)
        case "BertPreTokenizer":
            preTokenizer.steps.append(.split(.scalars(.space), .removed, isInverted: false))
            preTokenizer.steps.append(.split(.scalars(.punctuation), .isolated, isInverted: false))
        case "CharDelimiterSplit":
            let delimiter = String(decoding: try Self.string(value, "delimiter", field), as: UTF8.self)
            guard let scalar = delimiter.unicodeScalars.first else {
                throw TokenizerJSONReader.invalid("\(field).delimiter", "a character", value["delimiter"])
            }
            preTokenizer.steps.append(.split(.scalars(.scalar(scalar.value)), .removed, isInverted: false))
        case "Metaspace": preTokenizer.steps.append(try Self.metaspace(value, field))
        default: throw .unsupported(field: field, kind: kind)
        }
    }

    private static func behavior(_ name: String, _ field: String) throws(TokenizerError) -> PreTokenizer.Behavior {
        guard let behavior = PreTokenizer.Behavior(rawValue: name) else {
            throw .unsupported(field: "\(field).behavior", kind: name)
        }
        return behavior
    }

    private static func split(_ value: JSONValue, _ field: String) throws(TokenizerError) -> PreTokenizer.Step {
        let behavior = try behavior(value["behavior"]?.stringValue ?? "", field)
        let isInverted = value["invert"]?.boolValue ?? false
        let pattern = value["pattern"]
        if let literal = pattern?["String"]?.stringValue {
            return .split(.literal(Array(literal.utf8)), behavior, isInverted: isInverted)
        }
        guard let source = pattern?["Regex"]?.stringValue else {
            throw TokenizerJSONReader.invalid("\(field).pattern", "a String or Regex", pattern)
        }
        // Scanners give words; other behaviours need to know which of them are matches.
        let matcher: PreTokenizer.Matcher =
            behavior == .isolated ? try .compiled(source) : .pattern(try Pattern(source))
        return .split(matcher, behavior, isInverted: isInverted)
    }

    private static func metaspace(_ value: JSONValue, _ field: String) throws(TokenizerError) -> PreTokenizer.Step {
        let replacement = value["replacement"]?.stringValue ?? "▁"
        var prefix = PreTokenizer.MetaspacePrefix.always
        if let name = value["prepend_scheme"]?.stringValue {
            guard let scheme = PreTokenizer.MetaspacePrefix(rawValue: name) else {
                throw .unsupported(field: "\(field).prepend_scheme", kind: name)
            }
            prefix = scheme
        }
        if value["add_prefix_space"]?.boolValue == false { prefix = .never }
        return .metaspace(
            replacement: Array(replacement.utf8), prefix: prefix, splits: value["split"]?.boolValue ?? true)
    }

    /// Leaves the mapping of bytes to the model where no later step would see the difference.
    private mutating func finishPreTokenizer() {
        let isMappedBefore = normalizer.steps.contains { if case .byteLevel = $0 { true } else { false } }
        let mapping = preTokenizer.steps.firstIndex { if case .mapBytes = $0 { true } else { false } }
        if !isMappedBefore, let mapping, mapping == preTokenizer.steps.count - 1 {
            preTokenizer.steps.removeLast()
            isByteLevel = true
        }
    }

    // MARK: Decoder

    private mutating func readDecoder(_ value: JSONValue, _ field: String, _ depth: Int) throws(TokenizerError) {
        let kind = try Self.kind(value, field, depth)
        switch kind {
        case "Sequence":
            for (position, element) in try Self.list(value, "decoders", field).enumerated() {
                try readDecoder(element, "\(field).decoders[\(position)]", depth + 1)
            }
        case "ByteLevel": decoder.steps.append(isByteLevel ? .byteLevel : .unmapBytes)
        case "ByteFallback": decoder.steps.append(.byteFallback)
        case "Fuse": decoder.steps.append(.fuse)
        case "Replace": decoder.steps.append(.replace(try Self.replacement(value, field)))
        case "Strip":
            let content = try Self.string(value, "content", field)
            guard !content.isEmpty, let start = value["start"]?.intValue, let stop = value["stop"]?.intValue,
                (0...1000).contains(start), (0...1000).contains(stop)
            else { throw TokenizerJSONReader.invalid(field, "content, start and stop", value) }
            decoder.steps.append(.strip(content, left: start, right: stop))
        case "Metaspace":
            let replacement = Array((value["replacement"]?.stringValue ?? "▁").utf8)
            let isNever =
                value["prepend_scheme"]?.stringValue == "never" || value["add_prefix_space"]?.boolValue == false
            decoder.steps.append(.metaspace(replacement: replacement, dropsFirst: !isNever))
        case "BPEDecoder": decoder.steps.append(.wordSuffix(Array((value["suffix"]?.stringValue ?? "</w>").utf8)))
        case "WordPiece":
            decoder.steps.append(
                .wordPiece(
                    prefix: Array((value["prefix"]?.stringValue ?? "##").utf8),
                    cleansUp: value["cleanup"]?.boolValue ?? true))
        default: throw .unsupported(field: field, kind: kind)
        }
    }
}

/// Base64 as JSON files hold it.
enum Base64 {
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for character in text {
            let value: UInt32
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(character) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(character) - 97 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character) - 48 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="), 0x0A, 0x0D: continue
            default: return nil
            }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return output
    }
}
