import HTTPTypes
package import Hummingbird
import HummingbirdCore

/// What browsers need to call from pages of other origins: as tower-http's CorsLayer with LoRAX's defaults, any origin,
/// GET and POST.
package enum CrossOrigin {
    /// The answer to a browser's question before the request itself; nil for any other request.
    package static func preflight(_ request: Request) -> Response? {
        guard request.method == .options, request.headers[.accessControlRequestMethod] != nil else { return nil }
        return Response(
            status: .ok,
            headers: [
                .accessControlAllowOrigin: "*", .accessControlAllowMethods: "GET,POST",
                .accessControlAllowHeaders: "content-type,authorization",
            ])
    }

    /// The answer to a request, open to all origins, and without its body where only the head was asked for.
    package static func opened(_ response: Response, to request: Request) -> Response {
        var response = response
        response.headers[.accessControlAllowOrigin] = "*"
        return request.method == .head ? response.createHeadResponse() : response
    }
}
