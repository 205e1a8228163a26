/// One call over HTTP, before it is made.
struct HTTPCall: Sendable {
    enum Method: String, Sendable { case get = "GET", post = "POST", put = "PUT", delete = "DELETE" }

    var method: Method
    /// Path and query, percent-encoded.
    var path: String
    /// `Name: value` each.
    var fields: [String] = []
    /// JSON text.
    var body: [UInt8]?
    /// Nil lets an answer take as long as it takes.
    var timeout: Duration?

    init(_ method: Method, _ path: String, body: [UInt8]? = nil, timeout: Duration? = .seconds(60)) {
        self.method = method
        self.path = path
        self.body = body
        self.timeout = timeout
    }

    /// A path with a query; nil values are left out.
    static func path(_ path: String, _ query: [(name: String, value: String?)]) -> String {
        let parts = query.compactMap { name, value in value.map { "\(name)=\(percentEncoded($0))" } }
        return parts.isEmpty ? path : path + "?" + parts.joined(separator: "&")
    }

    /// A text as one part of a path or query (RFC 3986: all but unreserved characters are encoded).
    static func percentEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default: encoded += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
        return encoded
    }
}
