import Testing

@testable import ServingEngine

@Suite struct StopMatcherTests {
    private func run(_ stops: [String], _ pieces: [String], includesStop: Bool = false) -> (String, String?) {
        var matcher = StopMatcher(stops, includesStop: includesStop)
        var text = ""
        for piece in pieces {
            let release = matcher.append(piece)
            text += release.text
            if let stop = release.stop { return (text, stop) }
        }
        return (text + matcher.finish(), nil)
    }

    @Test func stopStringAcrossPiecesIsNeverReleased() {
        #expect(run(["END"], ["so E", "N", "D more"]) == ("so ", "END"))
        #expect(run(["END"], ["so E", "N", "D more"], includesStop: true) == ("so END", "END"))
    }

    @Test func suspectedStartIsReleasedWhenItIsNone() {
        var matcher = StopMatcher(["\nUser:"])
        #expect(matcher.append("Hi\nUs").text == "Hi")
        #expect(matcher.append("age\n").text == "\nUsage")
        #expect(matcher.finish() == "\n")
    }

    @Test func overlappingStartsAreNotMissed() {
        #expect(run(["aab"], ["aa", "ab", "c"]) == ("a", "aab"))
        #expect(run(["abcabd", "cabx"], ["abcab", "x"]) == ("ab", "cabx"))
        #expect(run(["bc", "abcd"], ["abcd"]) == ("a", "bc"))
        #expect(run(["c", "abc"], ["abc"]) == ("", "abc"))
    }

    @Test func charactersOfManyBytesStayWhole() {
        #expect(run(["é!"], ["caf", "é", "?", "é!"]) == ("café?", "é!"))
        // The first two bytes of both are the same.
        #expect(run(["😀"], ["a😁", "b😀"]) == ("a😁b", "😀"))
        // "é" in one code point is not "e" with an accent.
        #expect(run(["\u{E9}"], ["e\u{301}x"]) == ("e\u{301}x", nil))
        #expect(run(["\n"], ["a\r", "\nb"]) == ("a\r", "\n"))
    }

    @Test func releaseDoesNotDependOnThePieces() {
        var random = SplitMix(state: 3)
        for _ in 0..<500 {
            let alphabet = ["a", "b", "é", "ê"]
            let text = (0..<30).map { _ in alphabet.randomElement(using: &random) ?? "" }
            let stops = (0..<3).map { _ in
                (0...Int.random(in: 0..<5, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "" }
                    .joined()
            }
            let whole = run(stops, [text.joined()])
            let single = run(stops, text)
            #expect(whole == single)
            if let stop = whole.1 {
                #expect(text.joined().hasPrefix(whole.0 + stop))
            } else {
                #expect(whole.0 == text.joined())
            }
        }
    }
}
