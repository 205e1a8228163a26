import ServingChatTemplates
import ServingJSON
import Testing

@Suite struct ChatTemplateTests {
    @Test func modelTemplatesRenderAsTheReferenceDoes() throws {
        let rows = ChatFixtures.models(in: ChatFixtures.folder)
        #expect(rows.count == 44)
        for row in rows { try check(row) }
    }

    @Test(.enabled(if: !ChatFixtures.models(in: ChatFixtures.sweepFolder).isEmpty))
    func everyModelTemplateBesideTheRepositoryRendersAsTheReferenceDoes() throws {
        for row in ChatFixtures.models(in: ChatFixtures.sweepFolder) { try check(row) }
    }

    private func check(_ row: ChatFixtures.Case) throws {
        do throws(ChatTemplateError) {
            let text = try ChatFixtures.render(row.template, row.context)
            #expect(text == row.text && text.utf8.elementsEqual((row.text ?? "").utf8), "\(row.name)")
        } catch {
            #expect(error.code == .raised && error.message == row.error, "\(row.name): \(error)")
        }
    }

    @Test func smallTemplatesRenderOrFailAsInJinja() throws {
        let rows = try ChatFixtures.snippets()
        #expect(rows.count > 900)
        for row in rows {
            do throws(ChatTemplateError) {
                let text = try ChatFixtures.render(row.template, row.context)
                #expect(row.text.map { $0.utf8.elementsEqual(text.utf8) } == true, "\(row.template) gave \(text)")
            } catch {
                #expect(row.text == nil, "\(row.template) failed: \(error)")
            }
        }
    }

    @Test func refusalCarriesTheTemplatesWordsAndPlace() {
        #expect {
            try ChatFixtures.render("a\n  {{ raise_exception('Only user turns') }}")
        } throws: { error in
            let error = error as? ChatTemplateError
            return error?.code == .raised && error?.message == "Only user turns" && error?.line == 2
                && error?.column == 21
        }
    }

    @Test func syntaxErrorNamesLineAndColumn() {
        #expect {
            try ChatTemplate(source: "é\n{% if x %}\n é {{ 1 + }}")
        } throws: { error in
            let error = error as? ChatTemplateError
            return error?.code == .syntax && error?.line == 3 && error?.column == 11
        }
    }

    @Test func attributeOfMissingVariableIsUndefined() {
        #expect {
            try ChatFixtures.render("{{ missing.x }}")
        } throws: {
            ($0 as? ChatTemplateError)?.code == .undefined
        }
    }

    @Test func variableSetToNullIsNoneAndAbsentOneIsNot() throws {
        let template = "{{ tools is none }} {{ tools is defined }}"
        #expect(try ChatFixtures.render(template, JSONObject([("tools", .null)])) == "True True")
        #expect(try ChatFixtures.render(template) == "False False")
    }

    @Test func dateComesFromTheGivenClock() throws {
        let template = try ChatTemplate(source: "{{ strftime_now('%d %b %Y|%A %-d %B|%j %H:%M:%S %p') }}")
        let date = ChatTemplateDate(year: 2024, month: 12, day: 1, hour: 15, minute: 4, second: 5)
        #expect(try template.render(JSONObject(), now: date) == "01 Dec 2024|Sunday 1 December|336 15:04:05 PM")
    }

    @Test func carriageReturnsInTheSourceAreNewlines() throws {
        #expect(try ChatFixtures.render("{% if true %}\r\na\r\n{% endif %}\r\nb\r\n") == "a\nb")
    }

    @Test func largeJSONNumbersAndKeyOrderSurvive() throws {
        let context = try JSONValue(parsing: #"{"x":{"z":9007199254740993,"a":1.0,"m":[1e16,0.1]}}"#).objectValue
        #expect(
            try ChatFixtures.render("{{ x|tojson }}", try #require(context))
                == #"{"z": 9007199254740993, "a": 1.0, "m": [1e+16, 0.1]}"#)
    }
}
