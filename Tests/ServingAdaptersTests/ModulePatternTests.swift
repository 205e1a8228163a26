import Testing

@testable import ServingAdapters

@Suite("Patterns of module names")
struct ModulePatternTests {
    /// Verdicts of Python 3.12: `bool(re.match(rf"(.*\.)?({key})$", name))`.
    static let verdicts: [(key: String, name: String, matches: Bool)] = [
        ("q_proj", "model.layers.0.self_attn.q_proj", true), ("q_proj", "q_proj", true),
        ("q_proj", "model.layers.0.self_attn.xq_proj", false), ("proj", "a.q_proj", false),
        ("layers.1.mlp.up_proj", "model.layers.1.mlp.up_proj", true),
        ("layers.1.mlp.up_proj", "model.layers.11.mlp.up_proj", false),
        ("^model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.k_proj", true),
        ("^layers.0.self_attn.k_proj", "model.layers.0.self_attn.k_proj", false),
        ("layers\\.[0-3]\\..*(q|v)_proj", "model.layers.2.self_attn.v_proj", true),
        ("layers\\.[0-3]\\..*(q|v)_proj", "model.layers.4.self_attn.v_proj", false),
        ("layers\\.\\d+\\.mlp\\.(?:up|down)_proj$", "model.layers.12.mlp.down_proj", true),
        ("(gate|up)_proj", "model.layers.12.mlp.down_proj", false), (".*", "anything.at.all", true),
        ("", "a.b", false), ("x{2,3}", "m.xxx", true), ("x{2,3}", "m.xxxx", false), ("[^a]+_proj", "m.q_proj", true),
        ("a|b.c", "m.b.c", true), ("a+?b*", "aab", true),
    ]

    @Test("match the tails of names as Python's re does", arguments: verdicts.indices)
    func matches(_ index: Int) throws {
        let verdict = Self.verdicts[index]
        let pattern = try #require(ModulePattern(verdict.key))
        #expect(pattern.matchesTail(of: verdict.name) == verdict.matches, "\(verdict.key) on \(verdict.name)")
    }

    /// Verdicts of Python 3.12: `bool(re.fullmatch(pattern, name))`.
    static let wholeVerdicts: [(pattern: String, name: String, matches: Bool)] = [
        (".*q_proj", "model.layers.0.self_attn.q_proj", true), ("q_proj", "model.layers.0.self_attn.q_proj", false),
        (".*v_proj", "model.layers.0.self_attn.q_proj", false), (".*proj|x", "a.proj.b", false),
        (#"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:q_proj|up_proj))"#, "model.layers.12.mlp.up_proj", true),
        (#".*\bq_proj"#, "self_attn.q_proj", true), (#".*\bproj"#, "self_attn.q_proj", false), (#"a\b"#, "a", true),
        (#"\b"#, "", false),
    ]

    @Test("match whole names as Python's re does", arguments: wholeVerdicts.indices)
    func matchesWhole(_ index: Int) throws {
        let verdict = Self.wholeVerdicts[index]
        let pattern = try #require(ModulePattern(verdict.pattern))
        #expect(pattern.matchesWhole(verdict.name) == verdict.matches, "\(verdict.pattern) on \(verdict.name)")
    }

    @Test(
        "with syntax that is not known are refused",
        arguments: ["(?=a)", "a**", "(a", "a)", "[a", "\\Bq", "(?P<n>a)", "a{99999}", "*", "a{2", "x{3,2}", "\\"])
    func refused(_ source: String) { #expect(ModulePattern(source) == nil) }

    @Test("take no exponential time, and no program without bound")
    func hostile() throws {
        let pattern = try #require(ModulePattern("((a*)*)*b"))
        #expect(!pattern.matchesTail(of: String(repeating: "a", count: 2000)))
        #expect(ModulePattern("((((((x{64}){64}){64}){64}){64}){64})") == nil)
        #expect(ModulePattern(String(repeating: "(", count: 100) + String(repeating: ")", count: 100)) == nil)
    }

    @Test("Repeats of repeats of nothing end in a refusal, not in a wait")
    func nestedRepeats() {
        var pattern = ""
        for _ in 0..<9 { pattern = "(\(pattern)){64}" }
        #expect(ModulePattern(pattern) == nil)
    }
}
