import ServingChatTemplates
import ServingJSON
import Testing

/// Templates are untrusted: each of these ends in an error, none traps, runs on or fills the memory.
@Suite struct ChatTemplateLimitsTests {
    private static let limits = ChatTemplateLimits(steps: 200_000, stackBytes: 256 << 10)

    private static let nested = [
        "{{ " + String(repeating: "(", count: 50_000) + " }}",
        "{{ " + String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000) + " }}",
        "{{ " + String(repeating: "not ", count: 5000) + "1 }}", "{{ " + String(repeating: "-", count: 5000) + "1 }}",
        "{{ 1" + String(repeating: " + 1", count: 20_000) + " }}",
        "{{ a" + String(repeating: "[a", count: 5000) + String(repeating: "]", count: 5000) + " }}",
        String(repeating: "{% if 1 %}", count: 5000) + String(repeating: "{% endif %}", count: 5000),
    ]

    private static let endless = [
        "{% for i in range(10**9) %}x{% endfor %}", "{{ 'a' * 10**9 }}", "{{ [1] * 10**12 }}", "{{ 10 ** 100 }}",
        "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s=[]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(5000) %}{% set ns.s = ns.s|map('string') %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% set n = namespace(s=[], t=[]) %}{% for i in range(90) %}{% set n.s = [n.s, n.s] %}"
            + "{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s == n.t }}",
        "{% set n = namespace(s=()) %}{% for i in range(90) %}{% set n.s = (n.s, n.s) %}{% endfor %}{{ {n.s: 1} }}",
        "{{ 'a'.center(10**12) }}", "{{ 'a'|indent(10**12) }}", "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}", "{{ [[1]]|tojson(indent=10**9) }}", "{{ [1]|batch(10**12, 0)|list }}",
        "{{ ('a' * 100000).replace('', 'b' * 100000) }}", "{{ 1.5|round(10**9) }}", "{{ 1e300|int }}",
        "{{ 9223372036854775807 + 1 }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ 99999999999999999999 }}",
    ]

    @Test func deepNestingIsRefused() {
        for template in Self.nested {
            #expect(throws: ChatTemplateError.self, "\(template.prefix(20))") {
                try ChatFixtures.render(template, limits: Self.limits)
            }
        }
    }

    @Test func endlessWorkIsStopped() {
        for template in Self.endless {
            #expect(throws: ChatTemplateError.self, "\(template)") {
                try ChatFixtures.render(template, limits: Self.limits)
            }
        }
    }

    @Test func extremeIndexesAndStepsDoNotTrap() throws {
        let template = """
            {{ 'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }}\
            {{ [1, 2, 3][::-9223372036854775807] }}{{ 'abc'[9223372036854775807] }}{{ [1][-9223372036854775807] }}\
            {{ (-9223372036854775807 - 1) % -1 }}{{ range(9223372036854775800, 9223372036854775807)[::3]|list|length }}
            """
        #expect(try ChatFixtures.render(template) == "a[3]03")
    }

    @Test func longConversationStaysWithinTheDefaultLimits() throws {
        let source = "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim + eos }}{{ '\\n' }}{% endfor %}"
        let message = JSONValue.object(JSONObject([("role", "user"), ("content", " hello there ")]))
        let messages = JSONValue.array(Array(repeating: message, count: 5000))
        let text = try ChatFixtures.render(source, JSONObject([("messages", messages), ("eos", "</s>")]))
        #expect(text.utf8.count == 5000 * "<|user|>hello there</s>\n".utf8.count)
    }

    @Test func randomDamageToTemplatesNeverTraps() throws {
        var generator = SplitMix(state: 11)
        for row in ChatFixtures.models(in: ChatFixtures.folder) {
            var bytes = Array(row.template.utf8)
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let position = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes.remove(at: position)
                case 1: bytes.insert("{}%|('[-.é\n".utf8.randomElement(using: &generator) ?? 0, at: position)
                default: bytes.swapAt(position, Int.random(in: 0..<bytes.count, using: &generator))
                }
            }
            _ = try? ChatFixtures.render(
                String(decoding: bytes, as: UTF8.self), row.context, limits: Self.limits)
        }
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
