import Terminal
import Testing

@testable import Commands

@Suite struct ChatCompletionTests {
    private func complete(_ line: String) -> [String] {
        let completion = ChatCompletion(
            modelNames: { ["smol", "small", "llama"] },
            fileNames: { folder in
                switch folder {
                case ".": [".hidden", "chats/", "my chat.jsonl", "my notes"]
                case "chats/": ["a.jsonl", "b.jsonl"]
                default: []
                }
            })
        let start = line.utf8.lastIndex(of: UInt8(ascii: " ")).map {
            line.utf8.distance(from: line.startIndex, to: $0) + 1
        }
        return completion.candidates(
            LineEditor.CompletionRequest(line: line, wordStart: start ?? 0, cursor: line.utf8.count))
    }

    @Test(arguments: [
        ("/s", ["/set", "/show", "/system", "/save", "/stats"]), ("/re", ["/retry"]), ("hello", []), ("", []),
        ("/set te", ["temperature"]), ("/set top_", ["top_k", "top_p"]), ("/set stats ", ["on", "off", "default"]),
        ("/show c", ["context"]), ("/stats o", ["on", "off"]), ("/help und", ["undo"]), ("/help /und", ["/undo"]),
        ("/model sm", ["smol", "small"]), ("/load ch", ["chats/"]),
        ("/load chats/", ["chats/a.jsonl", "chats/b.jsonl"]),
        ("/load my", ["my chat.jsonl", "my notes"]), ("/load my c", ["chat.jsonl"]),
        ("/save --force chats/b", ["chats/b.jsonl"]), ("/load .h", [".hidden"]), ("/nothing x", []), ("/clear x", []),
        ("text /set", []),
    ])
    func wordIsCompleted(_ line: String, _ expected: [String]) {
        #expect(complete(line) == expected)
    }
}
