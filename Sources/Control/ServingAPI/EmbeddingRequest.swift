public import ServingJSON

/// The body of `/v1/embeddings`.
public struct EmbeddingRequest: Sendable, Equatable {
    /// How numbers are written.
    public enum Encoding: String, Sendable {
        /// As a JSON list.
        case float
        /// As base64 of little-endian float32.
        case base64
    }

    /// `model` as given.
    public var model: String
    /// The adapter's fields, LoRAX's `parameters` among them.
    public var adapter: AdapterFields
    /// The texts, at least one.
    public var inputs: [PromptInput]
    /// `encoding_format`.
    public var encoding: Encoding
    /// `dimensions`: what the client expects.
    public var dimensionCount: Int?

    /// Reads a body.
    public init(_ body: JSONValue) throws(OpenAIError) {
        let fields: WireObject
        do throws(WireDecodingError) {
            fields = try WireObject(body, named: "EmbeddingRequest")
            model = try fields.string("model") ?? ""
            var adapter = try AdapterFields(fields)
            if let parameters = try fields.object("parameters", named: "EmbedParameters") {
                guard adapter == AdapterFields() else {
                    throw fields.fails("parameters", "adapter fields stand in parameters or beside it, not in both")
                }
                adapter = try AdapterFields(parameters)
            }
            if adapter.id == nil { adapter.id = model }
            self.adapter = adapter
            dimensionCount = try fields.integer("dimensions", "u32", as: UInt32.self).map(Int.init)
            let name = try fields.string("encoding_format") ?? "float"
            guard let encoding = Encoding(rawValue: name) else {
                throw fields.fails("encoding_format", "expected float or base64, not \(name.prefix(40))")
            }
            self.encoding = encoding
        } catch {
            throw OpenAIError(error)
        }
        inputs = try PromptInput.inputs("input", fields)
    }
}
