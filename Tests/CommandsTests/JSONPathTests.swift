import ServingJSON
import Testing

@testable import Commands

@Suite struct JSONPathTests {
    private static let value: JSONValue = [
        "name": "demo", "count": 3, "ratio": 0.5, "none": nil, "flag": true,
        "items": [["name": "a", "tags": ["x", "y"]], ["name": "b", "tags": []]],
        "odd.key": ["in side": "found"],
    ]

    @Test(
        arguments: [
            ("{.name}", "demo"), (".name", "demo"), ("name", "demo"), ("{.count} of {.ratio}", "3 of 0.5"),
            ("{.items[0].name}", "a"), ("{.items[-1].name}", "b"), ("{.items[*].name}", "a b"),
            ("{.items[7].name}", ""),
            ("{.items[0].tags}", "[\"x\",\"y\"]"), ("{.missing.deeper}", ""), ("{.none}", ""), ("{.flag}", "true"),
            ("{['odd.key']['in side']}", "found"), ("{$.name}", "demo"), ("{@.name}", "demo"),
            ("{.items[*].tags[*]}", "x y"),
            ("{.items[0].*}", "a [\"x\",\"y\"]"), ("a{\"\\n\"}b{'\\t'}{\"}\"}", "a\nb\t}"), ("{ .name }", "demo"),
            ("{range .items[*]}{.name}={.tags[0]}{\"\\n\"}{end}!", "a=x\nb=\n!"),
            ("{range .items[*]}{range .tags[*]}{@}{end};{end}", "xy;;"), ("", ""), ("{}", JSONPathTests.value.text()),
        ] as [(String, String)])
    func picks(_ template: String, _ expected: String) throws {
        #expect(try JSONPath(template).text(of: Self.value) == expected)
    }

    @Test(arguments: [
        "{", "{.a", "{end}", "{range .a}", "{range .a}{.b}", "{.a[}", "{.a[x]}", "{.a[0]b}", "{\"open}", "{.a['b}",
    ])
    func refusesWhatIsNoTemplate(_ template: String) {
        #expect(throws: JSONPath.Malformed.self) { try JSONPath(template) }
    }
}
