/// A secret that clients show as `Authorization: Bearer KEY`.
package struct APIKey: Sendable {
    private let bytes: [UInt8]

    /// A key; nil where it is empty.
    package init?(_ text: String) {
        guard !text.isEmpty else { return nil }
        bytes = Array(text.utf8)
    }

    /// Whether the text is the key. Takes the same time wherever the two differ; the length of the key is no secret.
    package func matches(_ text: String) -> Bool {
        let given = Array(text.utf8)
        var difference = given.count ^ bytes.count
        for index in bytes.indices {
            difference |= Int((index < given.count ? given[index] : 0) ^ bytes[index])
        }
        return difference == 0
    }
}
