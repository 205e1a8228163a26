import Foundation

/// Requests to a server, made by curl.
struct WebClient {
    let url: String
    /// Where answers are kept while they come in.
    let folder: String

    static let program = "/usr/bin/curl"
    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: program) }

    struct Answer {
        /// 0 where there was none.
        let status: Int
        let body: String
        let retryAfter: String

        var json: [String: Any] { WebClient.object(body) }
        /// The message of an error in any of the server's forms.
        var error: String {
            (json["error"] as? String) ?? ((json["error"] as? [String: Any])?["message"] as? String) ?? ""
        }
    }

    static func object(_ text: String) -> [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
    }

    /// JSON of a value, keys in order.
    static func text(_ value: Any) throws -> String {
        String(
            decoding: try JSONSerialization.data(withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed]),
            as: UTF8.self)
    }

    /// Sends a request and gives the whole answer.
    func request(
        _ method: String, _ path: String, _ body: Any? = nil, headers: [String] = [],
        within limit: Duration = .seconds(90)
    ) throws -> Answer {
        let call = try start(
            method, path, body, headers: headers,
            options: ["-o", "-", "-w", "\n%{http_code} %header{retry-after}"])
        let text = try call.end(within: limit).output
        let cut = text.lastIndex(of: "\n") ?? text.startIndex
        let facts = text[cut...].dropFirst().split(separator: " ", omittingEmptySubsequences: false)
        return Answer(
            status: facts.first.flatMap { Int($0) } ?? 0, body: String(text[..<cut]),
            retryAfter: facts.count > 1 ? String(facts[1]) : "")
    }

    /// Sends a request whose answer is read as it comes.
    func start(
        _ method: String, _ path: String, _ body: Any? = nil, headers: [String] = [], options: [String] = []
    ) throws -> BackgroundProcess {
        var arguments = ["-sS", "-N", "-X", method] + options
        for header in headers { arguments += ["-H", header] }
        if let body {
            arguments += ["-H", "content-type: application/json", "--data-binary", try Self.text(body)]
        }
        arguments.append(path.hasPrefix("http") ? path : url + path)
        return try BackgroundProcess(Self.program, arguments, folder: folder)
    }
}

extension BackgroundProcess {
    /// Whole events of a stream that have come in.
    var frameCount: Int { outputText.components(separatedBy: "\n\n").count - 1 }

    /// Waits until so many events have come in; false where the stream ended before.
    func reachesFrames(_ count: Int, within limit: Duration = .seconds(60)) -> Bool {
        Patience(limit).wait(every: .milliseconds(2)) { frameCount >= count || !isRunning } && frameCount >= count
    }
}

/// What a client reads in a stream, less what differs from one request to the next by its nature.
struct StreamText {
    private let lines: [Substring]

    /// - Parameter raw: the stream's bytes. Replaces the random id and the time, which must be the same throughout, and
    ///   the count of tokens that a replica had computed already.
    init(_ raw: String) {
        var text = raw
        for line in raw.split(separator: "\n") {
            let json = WebClient.object(String(line.drop { $0 != "{" }))
            guard let id = json["id"] as? String, let created = json["created"] as? Int else { continue }
            text = text.replacingOccurrences(of: "\"id\":\"\(id)\"", with: "ID")
            text = text.replacingOccurrences(of: "\"created\":\(created)", with: "CREATED")
            break
        }
        text = text.replacing(/"cached_tokens":[0-9]+/, with: "CACHED")
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The first line that is another, for people; nil where there is none.
    func difference(from other: StreamText) -> String? {
        guard lines != other.lines else { return nil }
        let place = zip(lines, other.lines).prefix { $0 == $1 }.count
        func line(_ lines: [Substring]) -> String { place < lines.count ? String(lines[place].prefix(400)) : "the end" }
        let lengths = "\(lines.count) lines, expected \(other.lines.count)"
        return "line \(place + 1) is \(line(lines)), expected \(line(other.lines)) (\(lengths))"
    }
}
