import HTTPTypes
package import Hummingbird
import HummingbirdCore

extension String {
    /// The text as a header's value can hold it: visible ASCII, the rest as question marks, of bounded length.
    package var headerValue: String {
        String(String.UnicodeScalarView(unicodeScalars.prefix(256).map { (0x20...0x7E).contains($0.value) ? $0 : "?" }))
    }
}

extension Request {
    /// What follows `Authorization: Bearer`.
    package var bearerToken: String? {
        guard let header = headers[.authorization] else { return nil }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return String(parts[1].drop { $0 == " " })
    }
}
