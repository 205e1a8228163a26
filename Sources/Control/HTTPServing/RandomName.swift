/// Names that nobody else has, for ids that clients see.
package enum RandomName {
    /// 24 letters and digits, 143 bits of chance.
    package static func make() -> String {
        let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        var generator = SystemRandomNumberGenerator()
        return String(
            decoding: (0..<24).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] },
            as: UTF8.self)
    }
}
