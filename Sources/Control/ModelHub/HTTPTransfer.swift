import CCurl

/// What a server said before the body.
struct HTTPHead {
    var status = 0
    /// Values by lower-case name; the last of a repeated one.
    var fields: [String: String] = [:]
}

/// Why a request did not give its body.
enum HTTPFailure: Error {
    /// An answer with another status than 2xx, with the start of its body.
    case status(HTTPHead, text: String)
    /// The connection failed or broke; worth another try.
    case broken(String)
    /// It failed in a way that will not pass, or the receiver threw.
    case final(ModelHubError)
}

/// Times after which a transfer is given up.
struct HTTPTimeouts: Sendable {
    var connectMilliseconds = 20_000
    /// How long less than one byte a second may arrive.
    var stallSeconds = 60
}

/// One GET over libcurl, with redirects followed here so that a credential never leaves the host it is for.
struct HTTPTransfer {
    let userAgent: String
    let timeouts: HTTPTimeouts
    let cancellation: CancellationFlag
    /// Certificates to trust in place of the system's, or nil.
    var certificateFile: String?

    private static let maximumRedirects = 10

    /// Fetches `url` in the calling thread.
    ///
    /// - Parameters:
    ///   - fields: header fields for every hop.
    ///   - credential: sent as a bearer token, and only to the origin (scheme, host, port) of `url` itself.
    ///   - receive: gets the head and a piece of the body, for 2xx answers only; at least once, maybe with no bytes.
    func get(
        _ url: String, fields: [(name: String, value: String)] = [], credential: String?,
        receive: (HTTPHead, UnsafeRawBufferPointer) throws(ModelHubError) -> Void
    ) throws(HTTPFailure) {
        guard ccurl_load() else {
            throw .final(
                ModelHubError(
                    .missingLibrary, ccurl_load_error().map { String(cString: $0) } ?? "libcurl cannot be opened",
                    hint: "apt-get install libcurl4"))
        }
        guard let home = HTTPOrigin(of: url) else {
            throw .final(ModelHubError(.badReference, "\(url): not an http or https URL"))
        }
        var place = url
        for _ in 0...Self.maximumRedirects {
            guard let origin = HTTPOrigin(of: place) else {
                throw .final(ModelHubError(.hubFailed, "redirected to \(place), which is not an http or https URL"))
            }
            guard origin.isSecure || !home.isSecure else {
                throw .final(ModelHubError(.hubFailed, "redirected from https to \(origin.description), refused"))
            }
            var fields = fields
            if let credential, origin == home { fields.append(("Authorization", "Bearer \(credential)")) }
            guard let next = try hop(place, fields: fields, receive: receive) else { return }
            place = next
        }
        throw .final(ModelHubError(.hubFailed, "\(url): more than \(Self.maximumRedirects) redirects"))
    }

    /// One request. Gives the address of a redirect, or nil when the body was received.
    private func hop(
        _ url: String, fields: [(name: String, value: String)],
        receive: (HTTPHead, UnsafeRawBufferPointer) throws(ModelHubError) -> Void
    ) throws(HTTPFailure) -> String? {
        guard let easy = ccurl_easy_create() else { throw .broken("libcurl has no memory") }
        defer { ccurl_easy_free(easy) }
        var list: UnsafeMutableRawPointer?
        defer { ccurl_list_free(list) }
        for field in fields { list = ccurl_list_append(list, "\(field.name): \(field.value)") ?? list }
        setOptions(easy, url: url, list: list)
        var caught: ModelHubError?
        let (code, receiver) = withoutActuallyEscaping(receive) { receive in
            let receiver = HTTPReceiver(cancellation: cancellation) { head, bytes in
                do throws(ModelHubError) { try receive(head, bytes) } catch {
                    caught = error
                    return false
                }
                return true
            }
            let code = receiver.attach(to: easy) { ccurl_perform(easy) }
            // A body without bytes still has a head that the caller wants to see.
            if code == CCURL_OK, receiver.isSuccess, !receiver.hasDelivered {
                _ = receiver.deliver(UnsafeRawBufferPointer(start: nil, count: 0))
            }
            receiver.forgetDestination()
            return (code, receiver)
        }
        if let caught { throw .final(caught) }
        if (300..<400).contains(receiver.head.status), receiver.head.status != 304,
            let next = ccurl_info_string(easy, Int32(CCURL_INFO_REDIRECT_URL))
        {
            return String(cString: next)
        }
        try check(code, receiver, url)
        return nil
    }

    private func setOptions(_ easy: UnsafeMutableRawPointer, url: String, list: UnsafeMutableRawPointer?) {
        func set(_ option: some BinaryInteger, _ value: Int) { _ = ccurl_set_long(easy, Int32(option), value) }
        func set(_ option: some BinaryInteger, _ text: String) {
            _ = text.withCString { ccurl_set_pointer(easy, Int32(option), $0) }
        }
        set(CCURL_OPTION_URL, url)
        set(CCURL_OPTION_USER_AGENT, userAgent)
        set(CCURL_OPTION_PROTOCOLS, Int(CCURL_PROTOCOL_HTTP | CCURL_PROTOCOL_HTTPS))
        set(CCURL_OPTION_FOLLOW_LOCATION, 0)
        set(CCURL_OPTION_NO_SIGNAL, 1)
        set(CCURL_OPTION_CONNECT_TIMEOUT_MS, timeouts.connectMilliseconds)
        set(CCURL_OPTION_LOW_SPEED_LIMIT, 1)
        set(CCURL_OPTION_LOW_SPEED_TIME, timeouts.stallSeconds)
        set(CCURL_OPTION_BUFFER_SIZE, 262_144)
        if let certificateFile { set(CCURL_OPTION_CA_FILE, certificateFile) }
        if let list { _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_HTTP_HEADER), list) }
    }

    private func check(_ code: Int32, _ receiver: HTTPReceiver, _ url: String) throws(HTTPFailure) {
        if cancellation.isCancelled { throw .final(ModelHubError(.cancelled, "interrupted")) }
        if code == CCURL_OK || (code == CCURL_WRITE_FAILED && receiver.isRefused) {
            if receiver.isSuccess { return }
            throw .status(receiver.head, text: String(decoding: receiver.refusal, as: UTF8.self))
        }
        let host = HTTPOrigin(of: url)?.description ?? url
        let reason = "\(host): \(String(cString: ccurl_error_text(code)))"
        switch Int(code) {
        case CCURL_PROXY_NOT_FOUND:
            throw .final(ModelHubError(.unreachable, reason, hint: "check http_proxy and https_proxy"))
        case CCURL_CERTIFICATE_REFUSED, CCURL_CA_FILE_UNREADABLE:
            throw .final(
                ModelHubError(.unreachable, reason, hint: "name your certificates with SSL_CERT_FILE"))
        case CCURL_UNSUPPORTED_PROTOCOL, CCURL_BAD_URL:
            throw .final(ModelHubError(.badReference, reason))
        default:
            throw .broken(reason)
        }
    }
}

/// Scheme, host and port of a URL as libcurl reads it, so that no second parser can be led astray.
struct HTTPOrigin: Equatable, CustomStringConvertible {
    let scheme: String
    let host: String
    let port: String

    /// Needs `ccurl_load`. Nil for what is no http or https URL.
    init?(of url: String) {
        func part(_ part: some BinaryInteger) -> String? {
            guard let text = ccurl_url_part(url, Int32(part)) else { return nil }
            defer { ccurl_text_free(text) }
            return String(cString: text).lowercased()
        }
        guard let scheme = part(CCURL_URL_SCHEME), scheme == "http" || scheme == "https",
            let host = part(CCURL_URL_HOST), let port = part(CCURL_URL_PORT)
        else { return nil }
        (self.scheme, self.host, self.port) = (scheme, host, port)
    }

    var isSecure: Bool { scheme == "https" }
    var description: String { "\(scheme)://\(host):\(port)" }
}
