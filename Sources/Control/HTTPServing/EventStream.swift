package import ServingJSON

/// The frame of server-sent events.
package enum EventStream {
    /// Ends a stream of OpenAI's.
    package static let done = Array("data: [DONE]\n\n".utf8)

    /// An error as an event on OpenAI's routes.
    package static func frame(_ error: OpenAIError) -> [UInt8] { frame { $0.raw(error.json.bytes) } }

    /// An error as an event on LoRAX's routes, which put no space after the colon.
    package static func frame(_ error: NativeError) -> [UInt8] {
        var json = JSONBytes()
        json.frame("data:")
        json.raw(error.json.bytes)
        json.frame("\n\n")
        return json.bytes
    }

    /// An event that holds what is written.
    package static func frame(_ write: (inout JSONBytes) -> Void) -> [UInt8] {
        var json = JSONBytes()
        json.frame("data: ")
        write(&json)
        json.frame("\n\n")
        return json.bytes
    }
}
