import ServingEngine
import ServingJSON
import Testing

@testable import Commands

@Suite struct ChatSettingsTests {
    @Test func namesAreTakenInAnySpelling() throws {
        #expect(try ChatSetting(named: "top_k") == .topK)
        #expect(try ChatSetting(named: "Top-K") == .topK)
        #expect(throws: CommandFailure.self) { try ChatSetting(named: "topk.") }
        do { _ = try ChatSetting(named: "temprature") } catch {
            #expect(error.description.contains("did you mean 'temperature'?"))
        }
    }

    @Test func valuesAreSetAndShown() throws {
        var settings = ChatSettings()
        for (setting, text, shown) in [
            (ChatSetting.temperature, "0.2", "0.2"), (.topK, "40", "40"), (.topP, "0.9", "0.9"),
            (.minP, "0.05", "0.05"),
            (.typicalP, "0.95", "0.95"), (.repetitionPenalty, "1.1", "1.1"), (.repetitionWindow, "64", "64"),
            (.presencePenalty, "-0.5", "-0.5"), (.frequencyPenalty, "2", "2"), (.maxTokens, "20", "20"),
            (.seed, "18446744073709551615", "18446744073709551615"), (.stop, "END now", "[\"END now\"]"),
            (.ignoreEOS, "ON", "on"), (.stats, "on", "on"),
        ] {
            try settings.set(setting, to: text)
            #expect(settings.text(of: setting) == shown)
        }
        #expect(settings.sampling.topP == 0.9 && settings.sampling.seed == .max && settings.maxTokenCount == 20)
        #expect(ChatSetting.allCases.allSatisfy { settings.table.contains($0.rawValue) })
        for setting in ChatSetting.allCases { try settings.set(setting, to: "default") }
        #expect(settings == ChatSettings())
    }

    @Test func stopTextsMayBeJSON() throws {
        var settings = ChatSettings()
        try settings.set(.stop, to: "[\"a\", \"\\n\\n\"]")
        #expect(settings.stopStrings == ["a", "\n\n"])
        try settings.set(.stop, to: "\"[x]\"")
        #expect(settings.stopStrings == ["[x]"])
        try settings.set(.stop, to: "off")
        #expect(settings.stopStrings == [])
    }

    @Test(arguments: [
        (ChatSetting.temperature, "-1", "temperature must be"), (.temperature, "hot", "a number"),
        (.temperature, "nan", "temperature must be"), (.temperature, "off", "a number"), (.topK, "1.5", "whole number"),
        (.topK, "99999999999999999999", "whole number"), (.topK, "-1", "top_k must be"), (.topP, "0", "top_p must be"),
        (.topP, "1.01", "in (0, 1]"), (.minP, "inf", "min_p must be"),
        (.presencePenalty, "3", "presence_penalty must be"),
        (.repetitionPenalty, "0", "repetition_penalty"), (.repetitionWindow, "0", "repetition_window"),
        (.maxTokens, "0", "at least 1"), (.seed, "-1", "0 or more"), (.stop, "[1]", "JSON"), (.stop, "[\"a\"", "JSON"),
        (.stop, "[\"\"]", "1 to"), (.stats, "maybe", "on or off"),
    ])
    func badValueIsRefusedAndChangesNothing(_ setting: ChatSetting, _ text: String, _ reason: String) throws {
        var settings = ChatSettings()
        try settings.set(.topK, to: "7")
        let before = settings
        do {
            try settings.set(setting, to: text)
            Issue.record("\(setting.rawValue) took \(text)")
        } catch {
            #expect(error.description.contains(reason))
        }
        #expect(settings == before)
    }

    @Test func settingsComeBackFromJSON() throws {
        var settings = ChatSettings()
        try settings.set(.stop, to: "[\"off\", \"[x]\"]")
        try settings.set(.seed, to: "18446744073709551615")
        try settings.set(.temperature, to: "0.1")
        try settings.set(.stats, to: "on")
        var read = ChatSettings()
        try read.set(.maxTokens, to: "5")
        let object = try #require(try JSONValue(parsing: JSONValue.object(settings.json).text()).objectValue)
        #expect(object["temperature"]?.doubleValue == 0.1)
        #expect(try read.apply(object) == [])
        #expect(read == settings)
    }

    @Test func unknownSettingsOfAFileAreNamed() throws {
        var settings = ChatSettings()
        #expect(try settings.apply(JSONObject([("warmth", 1), ("top_k", 3)])) == ["warmth"])
        #expect(settings.sampling.topK == 3)
    }
}
