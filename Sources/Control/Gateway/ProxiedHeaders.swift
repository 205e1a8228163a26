import HTTPServing
import HTTPTypes
import NIOHTTP1

/// Which header fields go from client to replica and back.
enum ProxiedHeaders {
    /// Fields that are of one connection only (RFC 9110, section 7.6.1), and those that each side writes itself.
    private static let ownFields: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length", "host", "expect", "date", "server", "x-request-id",
        // Answers are read and written here, so they come as they are.
        "accept-encoding",
        // Of this server, not of replicas.
        "cookie", "set-cookie", "x-pbctl-gateway", "x-pbctl-progress", "x-pbctl-queue-timeout",
        // Written for all answers alike.
        "access-control-allow-origin",
    ]

    /// The fields of a request for a replica.
    static func request(_ fields: HTTPFields, requestID: String, passesAuthorization: Bool) -> HTTPHeaders {
        var headers = HTTPHeaders()
        let named = namedByConnection(fields[.connection])
        for field in fields {
            let name = field.name.canonicalName
            if ownFields.contains(name) || named.contains(name) { continue }
            if name == "authorization", !passesAuthorization { continue }
            headers.add(name: name, value: field.value)
        }
        headers.add(name: "x-request-id", value: requestID)
        return headers
    }

    /// The fields of an answer for the client.
    static func answer(_ headers: HTTPHeaders, requestID: String) -> HTTPFields {
        var fields = HTTPFields()
        let named = namedByConnection(headers.first(name: "connection"))
        for (name, value) in headers {
            let lowercased = name.lowercased()
            if ownFields.contains(lowercased) || named.contains(lowercased) { continue }
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        fields[.requestID] = requestID
        return fields
    }

    /// The client's own name for its request where it can be one, else a new one.
    static func requestID(_ fields: HTTPFields) -> String {
        guard let given = fields[.requestID], (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return RandomName.make() }
        return given
    }

    private static func namedByConnection(_ value: String?) -> Set<String> {
        guard let value else { return [] }
        return Set(value.split(separator: ",").map { $0.lowercased().filter { $0 != " " } })
    }
}

extension HTTPField.Name {
    static let requestID = custom("x-request-id")
    static let queueTimeout = custom("x-pbctl-queue-timeout")
    static let progress = custom("x-pbctl-progress")
}
