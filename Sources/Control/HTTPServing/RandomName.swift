/// Names that nobody else has, for ids that clients see.
package enum RandomName {
    private static let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    /// 24 letters and digits, 142 bits of chance.
    package static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return String(unsafeUninitializedCapacity: 24) { bytes in
            var chance: UInt64 = 0
            for index in 0..<24 {
                // Eight characters take 48 of 64 bits; each draw is a question to the system.
                if index % 8 == 0 { chance = generator.next() }
                let (quotient, digit) = chance.quotientAndRemainder(dividingBy: 62)
                bytes.initializeElement(at: index, to: alphabet[Int(digit)])
                chance = quotient
            }
            return 24
        }
    }
}
