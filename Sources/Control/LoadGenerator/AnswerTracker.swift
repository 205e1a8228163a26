import CCurl
import Glibc
import ServingJSON

/// Measures one streamed answer. Lives in the thread of the transfers; libcurl's write function calls it.
///
/// Per event it looks for a few bytes and reads no JSON: what the generator burns, a server on the same machine lacks.
final class AnswerTracker {
    let request: PlannedRequest
    let api: LoadAPI
    /// Seconds on the monotonic clock from which latencies count: when it was due (open loop) or sent.
    let start: Double
    private let easy: UnsafeMutableRawPointer
    private var reader = EventStreamReader()
    private var status = 0
    /// Times of token events, seconds on the monotonic clock.
    private(set) var tokenTimes: [Double] = []
    /// The last event that may hold counts, and an event with an error.
    private var last: [UInt8] = []
    private var error: [UInt8]?
    private var isDone = false
    private var isTooLong = false
    private var hasEvents = false
    /// The start of a body that is no stream of events.
    private var refusal: [UInt8] = []

    private static let refusalLimit = 8192

    init(_ request: PlannedRequest, api: LoadAPI, start: Double, easy: UnsafeMutableRawPointer) {
        self.request = request
        self.api = api
        self.start = start
        self.easy = easy
        tokenTimes.reserveCapacity(min(request.outputTokens, 4096))
    }

    /// Seconds on the monotonic clock.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Takes a piece of the body. False refuses the rest.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if status == 0 { status = ccurl_info_long(easy, Int32(CCURL_INFO_RESPONSE_CODE)) }
        if refusal.count < Self.refusalLimit, !hasEvents {
            refusal += bytes.prefix(Self.refusalLimit - refusal.count)
        }
        guard (200..<300).contains(status) else { return refusal.count < Self.refusalLimit }
        let now = Self.now()
        isTooLong = !reader.feed(bytes) { take($0, now) }
        return !isTooLong
    }

    private func take(_ event: UnsafeRawBufferPointer, _ now: Double) {
        hasEvents = true
        guard let first = event.baseAddress, event.count > 0 else { return }
        if event.count < 16, event.elementsEqual("[DONE]".utf8) {
            isDone = true
            return
        }
        if carriesToken(first, event.count) {
            tokenTimes.append(now)
        } else if error == nil, Self.find("\"error\":", in: first, event.count) != nil {
            error = Array(event)
        }
        last.removeAll(keepingCapacity: true)
        last.append(contentsOf: event)
    }

    /// Whether the event brings text (OpenAI's forms also send events that open, close or count).
    private func carriesToken(_ first: UnsafeRawPointer, _ count: Int) -> Bool {
        guard let key = Self.find(api.textKey, in: first, count) else { return false }
        var offset = first.distance(to: key) + api.textKey.utf8CodeUnitCount
        func byte(_ offset: Int) -> UInt8 { offset < count ? first.load(fromByteOffset: offset, as: UInt8.self) : 0 }
        while byte(offset) == 0x20 { offset += 1 }
        if api == .lorax { return byte(offset) == UInt8(ascii: "{") }
        return byte(offset) == UInt8(ascii: "\"") && byte(offset + 1) != UInt8(ascii: "\"")
    }

    private static func find(
        _ needle: StaticString, in start: UnsafeRawPointer, _ count: Int
    ) -> UnsafeRawPointer? {
        let length = needle.utf8CodeUnitCount
        var offset = 0
        while offset + length <= count,
            let found = memchr(start + offset, Int32(needle.utf8Start.pointee), count - length - offset + 1)
        {
            if memcmp(found, needle.utf8Start, length) == 0 { return UnsafeRawPointer(found) }
            offset = start.distance(to: UnsafeRawPointer(found)) + 1
        }
        return nil
    }

    /// What became of the request.
    /// - Parameter code: how libcurl's transfer ended.
    func outcome(code: Int32, end: Double) -> RequestOutcome {
        let now = end
        reader.finish { take($0, now) }
        if status == 0 { status = ccurl_info_long(easy, Int32(CCURL_INFO_RESPONSE_CODE)) }
        let counts = LastEvent(last)
        var outcome = RequestOutcome(adapter: request.adapter, start: start, end: end, tokenTimes: tokenTimes)
        outcome.failure = failure(code, counts)
        outcome.promptTokens = counts.promptTokens
        outcome.outputTokens = counts.outputTokens ?? tokenTimes.count
        outcome.isShort = outcome.failure == nil && outcome.outputTokens < request.outputTokens
        return outcome
    }

    private func failure(_ code: Int32, _ counts: LastEvent) -> RequestFailure? {
        if isTooLong { return .malformed("a line of more than \(EventStreamReader.lineLimit) bytes") }
        if status >= 300 || (status > 0 && status < 200) {
            return .status(status, Self.message(in: refusal).text)
        }
        if let error {
            let (text, type) = Self.message(in: error)
            return .inStream(type: type, text)
        }
        let reason = String(cString: ccurl_error_text(code))
        switch Int(code) {
        case CCURL_OK: break
        case CCURL_TIMED_OUT: return .timeout(reason)
        case CCURL_CANNOT_CONNECT, CCURL_HOST_NOT_FOUND, CCURL_PROXY_NOT_FOUND: return .unreachable(reason)
        default: return .closed(reason)
        }
        if !hasEvents {
            let text = String(decoding: refusal.prefix(200), as: UTF8.self)
            return .malformed(text.isEmpty ? "an empty answer" : "no event stream: \(text)")
        }
        if !isDone, !counts.isEnd { return .closed("the stream ended before the answer did") }
        if tokenTimes.isEmpty, counts.outputTokens ?? 0 == 0 { return .malformed("an answer without tokens") }
        return nil
    }

    /// The text and type of an error, in LoRAX's form or OpenAI's, or the body as it is.
    static func message(in body: [UInt8]) -> (text: String, type: String?) {
        guard let value = try? JSONValue(parsing: body, limits: JSONLimits(depth: 32)) else {
            return (String(decoding: body.prefix(500), as: UTF8.self), nil)
        }
        let error = value["error"]
        if let text = error?.stringValue { return (text, value["error_type"]?.stringValue) }
        if let text = error?["message"]?.stringValue { return (text, error?["type"]?.stringValue) }
        return (value["message"]?.stringValue ?? String(decoding: body.prefix(500), as: UTF8.self), nil)
    }
}

/// What the last event of a stream says.
private struct LastEvent {
    var promptTokens: Int?
    var outputTokens: Int?
    /// Whether it is one that only a whole answer ends with.
    var isEnd = false

    init(_ bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes, limits: JSONLimits(depth: 64)) else { return }
        // Not by flatMap: `nil` in its closure would be JSON's null.
        let usage = value["usage"]
        let counts = usage?.isNull == false ? usage : value["details"]
        promptTokens = counts?["prompt_tokens"]?.intValue
        outputTokens = counts?["completion_tokens"]?.intValue ?? counts?["generated_tokens"]?.intValue
        isEnd =
            value["generated_text"]?.stringValue != nil || value["choices"]?[0]?["finish_reason"]?.stringValue != nil
    }
}
