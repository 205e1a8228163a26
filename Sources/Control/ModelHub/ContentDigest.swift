import Crypto

/// The running checksum of a file that arrives in pieces.
struct ContentDigest {
    private var sha256 = SHA256()
    private var git: Insecure.SHA1?

    /// - Parameter size: bytes to come; part of Git's object name.
    init(for checksum: HubFile.Checksum?, size: Int64?) {
        guard case .gitBlob = checksum, let size else { return }
        var hash = Insecure.SHA1()
        hash.update(data: Array("blob \(size)\0".utf8))
        git = hash
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        sha256.update(bufferPointer: bytes)
        git?.update(bufferPointer: bytes)
    }

    /// SHA-256 of what came so far, in lower-case hexadecimal.
    var sha256Text: String { Self.text(sha256.finalize()) }

    /// Whether the content is the one with this checksum. True where there is nothing to compare with.
    func matches(_ checksum: HubFile.Checksum?) -> Bool {
        switch checksum {
        case nil: true
        case .sha256(let expected): sha256Text == expected
        case .gitBlob(let expected): git.map { Self.text($0.finalize()) == expected } ?? true
        }
    }

    /// SHA-256 of a text, in lower-case hexadecimal.
    static func text(of text: String) -> String { self.text(SHA256.hash(data: Array(text.utf8))) }

    private static func text(_ digest: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
