package import ServingJSON

/// Shapes the answer of `/v1/embeddings`: OpenAI's `data`, and `embeddings`, where LoRAX puts the same.
package struct EmbeddingResponse: Sendable {
    /// One vector an input, (E) each.
    package var vectors: [[Float]]
    /// How numbers are written.
    package var encoding: EmbeddingRequest.Encoding
    /// The model as the client named it.
    package var model: String
    /// Tokens of the inputs.
    package var tokenCount: Int

    /// An answer.
    package init(vectors: [[Float]], encoding: EmbeddingRequest.Encoding, model: String, tokenCount: Int) {
        self.vectors = vectors
        self.encoding = encoding
        self.model = model
        self.tokenCount = tokenCount
    }

    /// The body.
    package var json: JSONBytes {
        var json = JSONBytes(capacity: 1024)
        json.openObject()
        json.member("object", "list")
        for key in ["data", "embeddings"] {
            json.key(key)
            json.openArray()
            for (index, vector) in vectors.enumerated() {
                json.openObject()
                json.member("object", "embedding")
                json.member("index", index)
                json.key("embedding")
                switch encoding {
                case .float: Self.write(vector, &json)
                case .base64: json.string(Self.base64(vector))
                }
                json.closeObject()
            }
            json.closeArray()
        }
        json.member("model", model)
        json.key("usage")
        json.openObject()
        json.member("prompt_tokens", tokenCount)
        json.member("total_tokens", tokenCount)
        json.closeObject()
        json.closeObject()
        return json
    }

    /// The body of LoRAX's `/embed`.
    package static func nativeJSON(_ vector: [Float]) -> JSONBytes {
        var json = JSONBytes(capacity: vector.count * 12)
        json.openObject()
        json.key("embeddings")
        write(vector, &json)
        json.closeObject()
        return json
    }

    private static func write(_ vector: [Float], _ json: inout JSONBytes) {
        json.openArray()
        for value in vector { json.number(value) }
        json.closeArray()
    }

    /// RFC 4648 over little-endian float32.
    static func base64(_ vector: [Float]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let bytes = vector.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for byte in group { bits = bits << 8 | UInt32(byte) }
            bits <<= UInt32(3 - group.count) * 8
            for place in 0..<4 {
                let digit = Int(bits >> UInt32(18 - place * 6)) & 63
                text.append(place <= group.count ? alphabet[digit] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
