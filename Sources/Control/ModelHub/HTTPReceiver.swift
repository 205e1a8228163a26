import CCurl

/// Takes what libcurl's callbacks bring during one request. Lives in the thread of the transfer.
final class HTTPReceiver {
    private(set) var head = HTTPHead()
    /// The start of the body of an answer that is not 2xx.
    private(set) var refusal: [UInt8] = []
    /// Whether the rest of such a body was turned away.
    private(set) var isRefused = false
    private(set) var hasDelivered = false
    private let cancellation: CancellationFlag
    private var destination: ((HTTPHead, UnsafeRawBufferPointer) -> Bool)?

    private static let refusalLimit = 4096
    private static let fieldLimit = 200

    init(cancellation: CancellationFlag, destination: @escaping (HTTPHead, UnsafeRawBufferPointer) -> Bool) {
        self.cancellation = cancellation
        self.destination = destination
    }

    var isSuccess: Bool { (200..<300).contains(head.status) }

    /// Sets the callbacks of a transfer to this object while `body` runs.
    func attach(to easy: UnsafeMutableRawPointer, while body: () -> Int32) -> Int32 {
        let context = Unmanaged.passUnretained(self).toOpaque()
        func set(_ option: some BinaryInteger, _ function: ccurl_write_function, data: some BinaryInteger) {
            _ = ccurl_set_write_function(easy, Int32(option), function)
            _ = ccurl_set_pointer(easy, Int32(data), context)
        }
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
        let onProgress: ccurl_progress_function = { context, _, _, _, _ in
            guard let context else { return 1 }
            let receiver = Unmanaged<HTTPReceiver>.fromOpaque(context).takeUnretainedValue()
            return receiver.cancellation.isCancelled ? 1 : 0
        }
        set(CCURL_OPTION_HEADER_FUNCTION, onHeader, data: CCURL_OPTION_HEADER_DATA)
        set(CCURL_OPTION_WRITE_FUNCTION, onBody, data: CCURL_OPTION_WRITE_DATA)
        _ = ccurl_set_progress_function(easy, onProgress)
        _ = ccurl_set_pointer(easy, Int32(CCURL_OPTION_PROGRESS_DATA), context)
        _ = ccurl_set_long(easy, Int32(CCURL_OPTION_NO_PROGRESS), 0)
        return withExtendedLifetime(self) { body() }
    }

    /// Drops the closure, which must not outlive the call that lent it.
    func forgetDestination() { destination = nil }

    func deliver(_ bytes: UnsafeRawBufferPointer) -> Bool {
        hasDelivered = true
        return destination?(head, bytes) ?? false
    }

    private func addHeader(_ line: UnsafeRawBufferPointer) {
        if line.starts(with: "HTTP/".utf8) {
            // A new answer: after 100, or after a proxy's answer to CONNECT.
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            let digits = words.count > 1 ? String(decoding: words[1].prefix(3), as: UTF8.self) : ""
            head = HTTPHead(status: Int(digits) ?? 0)
            return
        }
        guard head.fields.count < Self.fieldLimit, let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        let value = line[(colon + 1)...].drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        head.fields[String(decoding: line[..<colon], as: UTF8.self).lowercased()] = String(
            decoding: value, as: UTF8.self)
    }

    private func addBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if cancellation.isCancelled { return false }
        if isSuccess { return deliver(bytes) }
        refusal += bytes.prefix(Self.refusalLimit - refusal.count)
        isRefused = refusal.count >= Self.refusalLimit
        return !isRefused
    }
}
