import CCurl

/// Where a load goes and how: what all its requests have in common.
public struct LoadTarget: Sendable {
    /// Scheme, host, port and maybe a path, without a slash at the end.
    public let url: String
    /// Lines such as `Authorization: Bearer x`, sent with every request.
    public let headers: [String]
    /// Seconds after which a request is given up.
    public let timeoutSeconds: Double

    /// Checks a target.
    /// - Parameters:
    ///   - url: an http or https URL.
    ///   - headers: `Name: value` each.
    public init(url: String, headers: [String] = [], timeoutSeconds: Double = 120) throws(LoadGeneratorError) {
        guard ccurl_load() else {
            let reason = ccurl_load_error().map { String(cString: $0) } ?? "libcurl cannot be opened"
            throw LoadGeneratorError(.missingLibrary, "\(reason) (apt-get install libcurl4)")
        }
        func part(_ part: some BinaryInteger) -> String? {
            guard let text = ccurl_url_part(url, Int32(part)) else { return nil }
            defer { ccurl_text_free(text) }
            return String(cString: text).lowercased()
        }
        guard let scheme = part(CCURL_URL_SCHEME), ["http", "https"].contains(scheme), let host = part(CCURL_URL_HOST),
            url.contains("://"), !url.contains(where: { $0.isWhitespace || $0 == "?" || $0 == "#" })
        else {
            throw LoadGeneratorError(.badOption, "\"\(url)\": expected a URL such as http://127.0.0.1:8080")
        }
        for header in headers where !header.contains(":") || header.contains(where: \.isNewline) {
            throw LoadGeneratorError(.badOption, "header \"\(header)\": expected NAME: VALUE on one line")
        }
        self.url = String(url.reversed().drop { $0 == "/" }.reversed())
        self.headers = headers
        self.timeoutSeconds = timeoutSeconds
        isLoopback = host == "localhost" || host.hasPrefix("127.") || host == "[::1]" || host == "::1"
    }

    /// Whether the server is on this machine, where no proxy helps.
    let isLoopback: Bool
}

/// A libcurl transfer with its header list, freed together. Used in one thread.
struct HTTPRequestHandle: ~Copyable {
    let easy: UnsafeMutableRawPointer
    private let list: UnsafeMutableRawPointer?
    /// libcurl keeps a pointer to the body, not a copy.
    private let body: UnsafeMutableBufferPointer<UInt8>

    /// A request; a POST of JSON where there is a body.
    init?(_ target: LoadTarget, path: String, body: [UInt8]?) {
        guard let easy = ccurl_easy_create() else { return nil }
        self.easy = easy
        self.body = .allocate(capacity: max(1, body?.count ?? 0))
        _ = self.body.initialize(fromContentsOf: body ?? [])
        var list: UnsafeMutableRawPointer?
        // An empty Expect keeps libcurl from waiting for leave to send a long body.
        for line in (body == nil ? [] : ["Content-Type: application/json", "Expect:"]) + target.headers {
            list = ccurl_list_append(list, line) ?? list
        }
        self.list = list
        func set(_ option: some BinaryInteger, _ value: Int) { _ = ccurl_set_long(easy, Int32(option), value) }
        func set(_ option: some BinaryInteger, _ text: String) {
            _ = text.withCString { ccurl_set_pointer(easy, Int32(option), $0) }
        }
        set(CCURL_OPTION_URL, target.url + path)
        set(CCURL_OPTION_USER_AGENT, "pbctl-bench")
        set(CCURL_OPTION_PROTOCOLS, Int(CCURL_PROTOCOL_HTTP | CCURL_PROTOCOL_HTTPS))
        set(CCURL_OPTION_NO_SIGNAL, 1)
        set(CCURL_OPTION_HTTP_VERSION, Int(CCURL_HTTP_VERSION_1_1))
        let milliseconds = max(1, Int(target.timeoutSeconds * 1000))
        set(CCURL_OPTION_CONNECT_TIMEOUT_MS, min(10_000, milliseconds))
        set(CCURL_OPTION_TIMEOUT_MS, milliseconds)
        if target.isLoopback { set(CCURL_OPTION_NO_PROXY, "*") }
        if let list { _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_HTTP_HEADER), list) }
        if let body {
            _ = ccurl_set_offset(easy, Int32(CCURL_OPTION_POST_FIELD_SIZE), Int64(body.count))
            _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_POST_FIELDS), self.body.baseAddress)
        }
    }

    deinit {
        ccurl_easy_free(easy)
        ccurl_list_free(list)
        body.deallocate()
    }

    /// Has the body go to `receiver`, which must live as long as the transfer.
    func deliver(to receiver: AnswerTracker) {
        let onBody: ccurl_write_function = { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let receiver = Unmanaged<AnswerTracker>.fromOpaque(context).takeUnretainedValue()
            return receiver.receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        _ = ccurl_set_write_function(easy, Int32(CCURL_OPTION_WRITE_FUNCTION), onBody)
        _ = ccurl_set_pointer(
            easy, Int32(CCURL_OPTION_WRITE_DATA), Unmanaged.passUnretained(receiver).toOpaque())
    }

    /// Runs the request to its end in the calling thread.
    func perform() -> (code: Int32, status: Int, body: [UInt8]) {
        let answer = SmallAnswer()
        let onBody: ccurl_write_function = { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let answer = Unmanaged<SmallAnswer>.fromOpaque(context).takeUnretainedValue()
            answer.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
            return answer.bytes.count <= SmallAnswer.limit ? size * count : 0
        }
        _ = ccurl_set_write_function(easy, Int32(CCURL_OPTION_WRITE_FUNCTION), onBody)
        _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_WRITE_DATA), Unmanaged.passUnretained(answer).toOpaque())
        let code = withExtendedLifetime(answer) { ccurl_perform(easy) }
        return (code, ccurl_info_long(easy, Int32(CCURL_INFO_RESPONSE_CODE)), answer.bytes)
    }

    private final class SmallAnswer {
        static let limit = 32 << 20
        var bytes: [UInt8] = []
    }
}
