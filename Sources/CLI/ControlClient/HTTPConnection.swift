import BlockingThreads
import CCurl
import Synchronization

/// The start of an answer.
struct HTTPHead: Sendable, Hashable {
    var status = 0
    /// Value of `Retry-After`, in seconds.
    var retryAfter: Int?

    var isSuccess: Bool { (200..<300).contains(status) }
}

/// A flag that one thread raises to end a transfer in another. It never goes down again.
final class StopFlag: Sendable {
    private let raised = Atomic<Bool>(false)
    var isRaised: Bool { raised.load(ordering: .acquiring) }
    func raise() { raised.store(true, ordering: .releasing) }
}

/// Makes calls to one server over libcurl, each in a thread of its own with a connection of its own.
struct HTTPConnection: Sendable {
    /// Scheme, host, port and maybe a path, without a slash at the end.
    let url: String
    let apiKey: String?
    let userAgent: String
    let connectTimeout: Duration
    /// Whether the server is on this machine, where no proxy helps.
    private let isLoopback: Bool

    /// Longest answer that is not a stream, in bytes.
    static let answerLimit = 256 << 20

    init(
        url: String, apiKey: String?, userAgent: String = "pbctl", connectTimeout: Duration = .seconds(10)
    ) throws(ControlClientError) {
        guard ccurl_load() else {
            let reason = ccurl_load_error().map { String(cString: $0) } ?? "libcurl cannot be opened"
            throw ControlClientError(.missingLibrary, reason, hint: "apt-get install libcurl4")
        }
        guard let host = Self.host(of: url) else {
            throw ControlClientError(
                .badAddress, "\"\(url)\" is no address of a server", hint: "one looks like http://127.0.0.1:8410")
        }
        if let apiKey, apiKey.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
            throw ControlClientError(.badAddress, "the API key holds a space or a control character")
        }
        self.url = String(url.reversed().drop { $0 == "/" }.reversed())
        self.apiKey = apiKey
        self.userAgent = userAgent
        self.connectTimeout = connectTimeout
        isLoopback = host == "localhost" || host.hasPrefix("127.") || host == "[::1]" || host == "::1"
    }

    /// The host of an http or https URL without query and fragment, in lower case; nil for anything else.
    private static func host(of url: String) -> String? {
        func part(_ part: some BinaryInteger) -> String? {
            guard let text = ccurl_url_part(url, Int32(part)) else { return nil }
            defer { ccurl_text_free(text) }
            return String(cString: text).lowercased()
        }
        guard let scheme = part(CCURL_URL_SCHEME), ["http", "https"].contains(scheme), url.contains("://"),
            !url.contains(where: { $0.isWhitespace || $0 == "?" || $0 == "#" })
        else { return nil }
        return part(CCURL_URL_HOST)
    }

    /// Makes a call and gives the whole answer, whatever its status.
    func answer(_ call: HTTPCall) async throws(ControlClientError) -> (head: HTTPHead, body: [UInt8]) {
        let body = Mutex<[UInt8]>([])
        let head = try await perform(call) { head, bytes in
            body.withLock { body in
                body.append(contentsOf: bytes)
                return body.count <= Self.answerLimit
            }
        }
        return (head, body.withLock { $0 })
    }

    /// Makes a call and gives `receive` the body in pieces, in the call's thread; at its false the transfer ends
    /// without an error. Cancelling the calling task ends it within a tenth of a second.
    func perform(
        _ call: HTTPCall, receive: @escaping @Sendable (HTTPHead, [UInt8]) -> Bool
    ) async throws(ControlClientError) -> HTTPHead {
        let (connection, stop) = (self, StopFlag())
        let result = await withTaskCancellationHandler {
            await BlockingThread.run { () -> Result<HTTPHead, ControlClientError> in
                Result { () throws(ControlClientError) in
                    guard let transfer = HTTPTransfer(connection, call, receive: receive) else {
                        throw ControlClientError(.unreachable, "libcurl has no memory")
                    }
                    return try transfer.run(until: stop)
                }
            }
        } onCancel: {
            stop.raise()
        }
        return try result.get()
    }

    fileprivate var hidesFromProxies: Bool { isLoopback }
}

/// A libcurl transfer with what it needs, freed together. Lives in one thread.
private struct HTTPTransfer: ~Copyable {
    private let easy: UnsafeMutableRawPointer
    private let list: UnsafeMutableRawPointer?
    /// libcurl keeps a pointer to the body, not a copy.
    private let body: UnsafeMutableBufferPointer<UInt8>
    private let receiver: HTTPReceiver
    private let url: String

    init?(
        _ connection: HTTPConnection, _ call: HTTPCall,
        receive: @escaping @Sendable (HTTPHead, [UInt8]) -> Bool
    ) {
        guard let easy = ccurl_easy_create() else { return nil }
        self.easy = easy
        url = connection.url
        receiver = HTTPReceiver(receive)
        body = .allocate(capacity: max(1, call.body?.count ?? 0))
        _ = body.initialize(fromContentsOf: call.body ?? [])
        var list: UnsafeMutableRawPointer?
        // An empty Expect keeps libcurl from waiting for leave to send a long body.
        var fields = call.fields + ["Expect:"] + (call.body == nil ? [] : ["Content-Type: application/json"])
        if let key = connection.apiKey { fields.append("Authorization: Bearer \(key)") }
        for field in fields { list = ccurl_list_append(list, field) ?? list }
        self.list = list
        setOptions(connection, call)
        receiver.attach(to: easy)
    }

    private func setOptions(_ connection: HTTPConnection, _ call: HTTPCall) {
        func set(_ option: some BinaryInteger, _ value: Int) { _ = ccurl_set_long(easy, Int32(option), value) }
        func set(_ option: some BinaryInteger, _ text: String) {
            _ = text.withCString { ccurl_set_pointer(easy, Int32(option), $0) }
        }
        func milliseconds(_ duration: Duration) -> Int { max(1, Int(duration / .milliseconds(1))) }
        set(CCURL_OPTION_URL, connection.url + call.path)
        set(CCURL_OPTION_USER_AGENT, connection.userAgent)
        set(CCURL_OPTION_PROTOCOLS, Int(CCURL_PROTOCOL_HTTP | CCURL_PROTOCOL_HTTPS))
        set(CCURL_OPTION_FOLLOW_LOCATION, 0)
        set(CCURL_OPTION_NO_SIGNAL, 1)
        set(CCURL_OPTION_HTTP_VERSION, Int(CCURL_HTTP_VERSION_1_1))
        set(CCURL_OPTION_CONNECT_TIMEOUT_MS, milliseconds(connection.connectTimeout))
        if let timeout = call.timeout { set(CCURL_OPTION_TIMEOUT_MS, milliseconds(timeout)) }
        if connection.hidesFromProxies { set(CCURL_OPTION_NO_PROXY, "*") }
        if let list { _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_HTTP_HEADER), list) }
        if call.body != nil || call.method == .post || call.method == .put {
            _ = ccurl_set_offset(easy, Int32(CCURL_OPTION_POST_FIELD_SIZE), Int64(call.body?.count ?? 0))
            _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_POST_FIELDS), body.baseAddress)
        }
        if call.method != .get { set(CCURL_OPTION_CUSTOM_REQUEST, call.method.rawValue) }
    }

    deinit {
        ccurl_easy_free(easy)
        ccurl_list_free(list)
        body.deallocate()
    }

    /// Runs to the end of the answer, to the receiver's refusal, or until `stop` is raised.
    func run(until stop: StopFlag) throws(ControlClientError) -> HTTPHead {
        guard let multi = ccurl_multi_create(1) else { throw ControlClientError(.unreachable, "libcurl has no memory") }
        defer { ccurl_multi_free(multi) }
        guard ccurl_multi_add(multi, easy) else { throw ControlClientError(.unreachable, "libcurl has no memory") }
        defer { _ = ccurl_multi_remove(multi, easy) }
        while !stop.isRaised {
            guard ccurl_multi_perform(multi) else { throw ControlClientError(.unreachable, "libcurl gave up") }
            var code: Int32 = 0
            if ccurl_multi_next_ended(multi, &code) != nil { return try head(endingWith: Int(code)) }
            _ = ccurl_multi_wait(multi, 100)
        }
        throw ControlClientError(.cancelled, "interrupted")
    }

    private func head(endingWith code: Int) throws(ControlClientError) -> HTTPHead {
        if code == CCURL_OK || (code == CCURL_WRITE_FAILED && receiver.hasRefused) { return receiver.head }
        let reason = String(cString: ccurl_error_text(Int32(code)))
        let text = reason.prefix(1).lowercased() + reason.dropFirst()
        switch code {
        case CCURL_CERTIFICATE_REFUSED, CCURL_CA_FILE_UNREADABLE:
            throw ControlClientError(.unreachable, "\(url): \(text)", hint: "name your certificates with SSL_CERT_FILE")
        case CCURL_UNSUPPORTED_PROTOCOL, CCURL_BAD_URL:
            throw ControlClientError(.badAddress, "\(url): \(text)")
        case CCURL_CANNOT_CONNECT, CCURL_HOST_NOT_FOUND:
            throw ControlClientError(
                .unreachable, "no server answers at \(url): \(text)", hint: "'pbctl server status' tells more")
        default:
            throw ControlClientError(.unreachable, "\(url): \(text)")
        }
    }
}

/// Takes what libcurl's callbacks bring during one transfer. Lives in its thread.
private final class HTTPReceiver {
    private(set) var head = HTTPHead()
    private(set) var hasRefused = false
    private let receive: @Sendable (HTTPHead, [UInt8]) -> Bool

    init(_ receive: @escaping @Sendable (HTTPHead, [UInt8]) -> Bool) { self.receive = receive }

    /// Sets the callbacks of a transfer, which must not outlive this object.
    func attach(to easy: UnsafeMutableRawPointer) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        let onHeader: ccurl_write_function = { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let receiver = Unmanaged<HTTPReceiver>.fromOpaque(context).takeUnretainedValue()
            receiver.addHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
        let onBody: ccurl_write_function = { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let receiver = Unmanaged<HTTPReceiver>.fromOpaque(context).takeUnretainedValue()
            return receiver.addBody(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        _ = ccurl_set_write_function(easy, Int32(CCURL_OPTION_HEADER_FUNCTION), onHeader)
        _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_HEADER_DATA), context)
        _ = ccurl_set_write_function(easy, Int32(CCURL_OPTION_WRITE_FUNCTION), onBody)
        _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_WRITE_DATA), context)
    }

    private func addHeader(_ line: UnsafeRawBufferPointer) {
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // A new answer: after 100, or after a proxy's answer to CONNECT.
            let words = text.split(separator: " ", maxSplits: 2)
            head = HTTPHead(status: words.count > 1 ? Int(words[1].prefix(3)) ?? 0 : 0)
        } else if text.lowercased().hasPrefix("retry-after:") {
            head.retryAfter = Int(text.dropFirst(12).filter { !$0.isWhitespace })
        }
    }

    private func addBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let isWanted = receive(head, Array(bytes))
        if !isWanted { hasRefused = true }
        return isWanted
    }
}
