import Deployments
import ServingEngine
import ServingJSON
import ServingTensors

/// What a person can set in a conversation.
enum ChatSetting: String, CaseIterable, Sendable {
    case temperature
    case topK = "top_k"
    case topP = "top_p"
    case minP = "min_p"
    case typicalP = "typical_p"
    case repetitionPenalty = "repetition_penalty"
    case repetitionWindow = "repetition_window"
    case presencePenalty = "presence_penalty"
    case frequencyPenalty = "frequency_penalty"
    case maxTokens = "max_tokens"
    case seed
    case stop
    case ignoreEOS = "ignore_eos"
    case stats

    /// What it does, in one line.
    var summary: String {
        switch self {
        case .temperature: "0 takes the likeliest token each time; higher is more varied"
        case .topK: "choose among this many likeliest tokens (0: all)"
        case .topP: "choose among the likeliest tokens that together reach this probability"
        case .minP: "leave out tokens less likely than this share of the likeliest"
        case .typicalP: "keep tokens of typical information up to this probability"
        case .repetitionPenalty: "divide the scores of tokens already seen (1: off)"
        case .repetitionWindow: "how many of the latest tokens that looks at (off: all)"
        case .presencePenalty: "subtract from the scores of tokens already generated"
        case .frequencyPenalty: "subtract for each time that a token was generated"
        case .maxTokens: "most tokens an answer (off: what the context holds)"
        case .seed: "the same seed gives the same answers (off: another each time)"
        case .stop: "end before this text; several as [\"a\", \"b\"] (off: none)"
        case .ignoreEOS: "go on past the model's end of text: on or off"
        case .stats: "show after each answer how long it took: on or off"
        }
    }

    /// The setting with a name as it is typed: in whatever case, with - or _.
    init(named name: String) throws(CommandFailure) {
        let plain = String(name.lowercased().map { $0 == "-" ? "_" : $0 })
        guard let setting = ChatSetting(rawValue: plain) else {
            let names = ChatSetting.allCases.map(\.rawValue)
            throw .usage(
                "no setting '\(name)'",
                hint: Spelling.nearest(to: plain, among: names).map { "did you mean '\($0)'?" }
                    ?? "settings: \(names.joined(separator: ", "))")
        }
        self = setting
    }
}

/// How a conversation's answers are made and shown.
struct ChatSettings: Sendable, Equatable {
    var sampling = SamplingParameters(temperature: defaultTemperature)
    var maxTokenCount: Int?
    var stopStrings: [String] = []
    var stopTokenIDs: Set<TokenID> = []
    var ignoresEndOfGeneration = false
    var showsStatistics = false

    /// A conversation is livelier than a single answer, where the likeliest one is wanted.
    static let defaultTemperature: Float = 0.7

    /// Takes a value as it is typed; `default` brings back the default. After an error nothing has changed.
    mutating func set(_ setting: ChatSetting, to text: String) throws(CommandFailure) {
        var changed = self
        let isOff = ["off", "none"].contains(text.lowercased())
        if text.lowercased() == "default" {
            changed.reset(setting)
        } else {
            try changed.assign(setting, text, isOff: isOff)
        }
        try changed.validate()
        self = changed
    }

    private mutating func assign(_ setting: ChatSetting, _ text: String, isOff: Bool) throws(CommandFailure) {
        func number() throws(CommandFailure) -> Float {
            guard let number = Float(text) else { throw Self.mistake(setting, "a number", text) }
            return number
        }
        func count() throws(CommandFailure) -> Int {
            guard let count = Int(text) else { throw Self.mistake(setting, "a whole number", text) }
            return count
        }
        switch setting {
        case .temperature: sampling.temperature = try number()
        case .topK: sampling.topK = try count()
        case .topP: sampling.topP = try number()
        case .minP: sampling.minP = try number()
        case .typicalP: sampling.typicalP = try number()
        case .repetitionPenalty: sampling.repetitionPenalty = try number()
        case .repetitionWindow: sampling.repetitionWindow = isOff ? nil : try count()
        case .presencePenalty: sampling.presencePenalty = try number()
        case .frequencyPenalty: sampling.frequencyPenalty = try number()
        case .maxTokens: maxTokenCount = isOff ? nil : try count()
        case .seed:
            guard isOff || UInt64(text) != nil else { throw Self.mistake(setting, "a whole number of 0 or more", text) }
            sampling.seed = UInt64(text)
        case .stop: stopStrings = isOff ? [] : try Self.stopStrings(text)
        case .ignoreEOS: ignoresEndOfGeneration = try ChatCommandLine.onOrOff(text)
        case .stats: showsStatistics = try ChatCommandLine.onOrOff(text)
        }
    }

    private mutating func reset(_ setting: ChatSetting) {
        let plain = ChatSettings()
        switch setting {
        case .temperature: sampling.temperature = plain.sampling.temperature
        case .topK: sampling.topK = plain.sampling.topK
        case .topP: sampling.topP = plain.sampling.topP
        case .minP: sampling.minP = plain.sampling.minP
        case .typicalP: sampling.typicalP = plain.sampling.typicalP
        case .repetitionPenalty: sampling.repetitionPenalty = plain.sampling.repetitionPenalty
        case .repetitionWindow: sampling.repetitionWindow = plain.sampling.repetitionWindow
        case .presencePenalty: sampling.presencePenalty = plain.sampling.presencePenalty
        case .frequencyPenalty: sampling.frequencyPenalty = plain.sampling.frequencyPenalty
        case .maxTokens: maxTokenCount = nil
        case .seed: sampling.seed = nil
        case .stop: stopStrings = []
        case .ignoreEOS: ignoresEndOfGeneration = false
        case .stats: showsStatistics = false
        }
    }

    /// Throws for the first value that no engine takes.
    func validate() throws(CommandFailure) {
        do throws(ParameterError) {
            try sampling.validate(vocabularyCount: Int(TokenID.max))
        } catch {
            throw .usage("\(Self.name(of: error.field)) must be \(error.expected), not \(error.value)")
        }
        if let maxTokenCount, maxTokenCount < 1 {
            throw Self.mistake(.maxTokens, "at least 1", "\(maxTokenCount)")
        }
        let longest = GenerationRequest.stopStringByteLimit
        guard stopStrings.count <= GenerationRequest.stopStringLimit,
            stopStrings.allSatisfy({ !$0.isEmpty && $0.utf8.count <= longest })
        else {
            throw .usage("stop must be at most \(GenerationRequest.stopStringLimit) texts of 1 to \(longest) bytes")
        }
    }

    private static func mistake(_ setting: ChatSetting, _ expected: String, _ text: String) -> CommandFailure {
        .usage("\(setting.rawValue) must be \(expected), not '\(text)'")
    }

    /// `topK` as people type it: `top_k`.
    private static func name(of field: String) -> String {
        var name = ""
        for scalar in field.unicodeScalars {
            if scalar.properties.isUppercase { name += "_" }
            name += scalar.properties.lowercaseMapping
        }
        return name
    }

    /// A text as it stands, or JSON: `"\n"`, `["a", "b"]`.
    private static func stopStrings(_ text: String) throws(CommandFailure) -> [String] {
        guard text.hasPrefix("[") || text.hasPrefix("\"") else { return [text] }
        let value = try? JSONValue(parsing: text)
        let strings = value?.arrayValue?.map(\.stringValue) ?? [value?.stringValue]
        let texts = strings.compactMap { $0 }
        guard texts.count == strings.count else {
            throw mistake(.stop, "a text, or JSON strings such as [\"a\", \"\\n\"]", text)
        }
        return texts
    }
}

// MARK: - Showing and keeping

extension ChatSettings {
    /// The value of a setting as it would be typed.
    func text(of setting: ChatSetting) -> String {
        switch json(of: setting) {
        case .null: "off"
        case .bool(let isOn): isOn ? "on" : "off"
        case .string(let text): text
        case .array(let texts) where texts.isEmpty: "off"
        case let value: value.text()
        }
    }

    /// All settings, one a line.
    var table: String {
        let rows = ChatSetting.allCases.map { ($0.rawValue, text(of: $0), $0.summary) }
        let nameWidth = rows.map(\.0.count).max() ?? 0
        let valueWidth = min(rows.map(\.1.count).max() ?? 0, 24)
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        return rows.map { "  \(padded($0.0, nameWidth))  \(padded($0.1, valueWidth))  \($0.2)" }
            .joined(separator: "\n")
    }

    /// All settings by name.
    var json: JSONObject { JSONObject(ChatSetting.allCases.map { ($0.rawValue, json(of: $0)) }) }

    /// Takes settings from a file. Names that are not known here are given back; a bad value is an error.
    mutating func apply(_ object: JSONObject) throws(CommandFailure) -> [String] {
        var unknown: [String] = []
        for (name, value) in object.members {
            guard let setting = ChatSetting(rawValue: name) else {
                unknown.append(name)
                continue
            }
            let text =
                switch value {
                case .null: "off"
                case .bool(let isOn): isOn ? "on" : "off"
                // A stop text may look like JSON and is an array anyway.
                case .string(let text) where setting != .stop: text
                case .array(let texts) where texts.isEmpty: "off"
                default: value.text()
                }
            try set(setting, to: text)
        }
        return unknown
    }

    private func json(of setting: ChatSetting) -> JSONValue {
        // By way of the digits, so that 0.7 stays 0.7 and is not the nearest float's 0.699999988.
        func number(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
        func count(_ value: Int?) -> JSONValue { value.map { .integer(Int64($0)) } ?? .null }
        return switch setting {
        case .temperature: number(sampling.temperature)
        case .topK: count(sampling.topK)
        case .topP: number(sampling.topP)
        case .minP: number(sampling.minP)
        case .typicalP: number(sampling.typicalP)
        case .repetitionPenalty: number(sampling.repetitionPenalty)
        case .repetitionWindow: count(sampling.repetitionWindow)
        case .presencePenalty: number(sampling.presencePenalty)
        case .frequencyPenalty: number(sampling.frequencyPenalty)
        case .maxTokens: count(maxTokenCount)
        case .seed: sampling.seed.map { Int64(exactly: $0).map(JSONValue.integer) ?? .string("\($0)") } ?? .null
        case .stop: .array(stopStrings.map(JSONValue.string))
        case .ignoreEOS: .bool(ignoresEndOfGeneration)
        case .stats: .bool(showsStatistics)
        }
    }
}
