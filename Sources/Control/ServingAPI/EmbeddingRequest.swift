package import HTTPServing
package import ServingJSON

/// The body of `/v1/embeddings`.
package struct EmbeddingRequest: Sendable, Equatable {
    /// How numbers are written.
    package enum Encoding: String, Sendable {
        /// As a JSON list.
        case float
        /// As base64 of little-endian float32.
        case base64
    }

    /// `model` as given.
    package var model: String
    /// The adapter's fields, LoRAX's `parameters` among them.
    package var adapter: AdapterFields
    /// The texts, at least one.
    package var inputs: [PromptInput]
    /// `encoding_format`.
    package var encoding: Encoding
    /// `dimensions`: what the client expects.
    package var dimensionCount: Int?

    /// Reads a body.
    package init(_ body: JSONValue) throws(OpenAIError) {
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
            adapter.name(model: model)
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
