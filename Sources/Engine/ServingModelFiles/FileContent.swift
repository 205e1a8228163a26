/// What the first bytes of a file say that it is, whatever its name.
enum FileContent: Equatable {
    case gguf
    case safetensors
    case legacyGGML
    case pickle(String)
    case gitLFSPointer
    case webPage
    case archive(String)
    case json
    case text
    case binary

    init(_ bytes: UnsafeRawBufferPointer) {
        let head = UnsafeRawBufferPointer(rebasing: bytes.prefix(512))
        if head.starts(with: "GGUF".utf8) {
            self = .gguf
        } else if Self.isSafetensors(bytes) {
            // Before pickles: a header of 384 bytes begins like one.
            self = .safetensors
        } else if let pickle = Self.pickle(bytes) {
            self = .pickle(pickle)
        } else if ["ggml", "lmgg", "fmgg", "tjgg", "algg"].contains(where: { head.starts(with: $0.utf8) }) {
            // The magics of llama.cpp's formats before GGUF, numbers written in little-endian order.
            self = .legacyGGML
        } else if let archive = Self.archive(head) {
            self = .archive(archive)
        } else {
            self = Self.text(head)
        }
    }

    private static func pickle(_ bytes: UnsafeRawBufferPointer) -> String? {
        // Protocol 2 and later begin with PROTO (0x80) and the protocol's number.
        if bytes.count >= 2, bytes[0] == 0x80, (1...5).contains(bytes[1]) { return "a Python pickle" }
        guard bytes.starts(with: "PK\u{3}\u{4}".utf8) else { return nil }
        let window = 64 << 10
        let entry = Array("data.pkl".utf8)
        let holdsPickle =
            contains(UnsafeRawBufferPointer(rebasing: bytes.prefix(window)), entry)
            || contains(UnsafeRawBufferPointer(rebasing: bytes.suffix(window)), entry)
        return holdsPickle ? "a PyTorch checkpoint with a Python pickle" : nil
    }

    private static func archive(_ head: UnsafeRawBufferPointer) -> String? {
        if head.starts(with: "PK\u{3}\u{4}".utf8) { return "a zip archive" }
        if head.starts(with: [0x1F, 0x8B]) { return "a gzip archive" }
        if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return "a zstd archive" }
        if head.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A]) { return "an xz archive" }
        if head.count >= 262, head[257...].starts(with: "ustar".utf8) { return "a tar archive" }
        return nil
    }

    /// Eight bytes of header length and the header's opening brace.
    private static func isSafetensors(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count > 8 && bytes[8] == UInt8(ascii: "{")
            && UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) <= UInt64(SafetensorsFile.headerLimit)
    }

    private static func text(_ head: UnsafeRawBufferPointer) -> FileContent {
        if head.starts(with: "version https://git-lfs".utf8) { return .gitLFSPointer }
        // Control characters that texts don't have, and bytes that UTF-8 never has.
        guard !head.contains(where: { $0 >= 0xF8 || $0 < 0x20 && ![0x09, 0x0A, 0x0C, 0x0D, 0x1B].contains($0) }) else {
            return .binary
        }
        let text = head.drop { $0 <= 0x20 }.prefix(16).map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
        if text.starts(with: "<!doctype html".utf8) || text.starts(with: "<html".utf8) { return .webPage }
        return text.first == UInt8(ascii: "{") ? .json : .text
    }

    private static func contains(_ bytes: UnsafeRawBufferPointer, _ needle: [UInt8]) -> Bool {
        guard bytes.count >= needle.count else { return false }
        return (0...bytes.count - needle.count).contains { start in
            bytes[start] == needle[0] && bytes[start...].starts(with: needle)
        }
    }

    /// The error for a file of this content where `format` was expected.
    func error(_ file: String, expected format: String) -> ModelFileError {
        switch self {
        case .pickle(let kind):
            ModelFileError(
                .pickle, file: file, "is \(kind), which can run code when it is read, and is never read",
                hint: "use the model's safetensors files, or convert it to safetensors where you trust it")
        case .gitLFSPointer:
            ModelFileError(
                .incompleteDownload, file: file, "is a Git LFS pointer, not the file itself",
                hint: "run git lfs pull in its folder")
        case .webPage:
            ModelFileError(
                .wrongFormat, file: file, "is a web page, not \(format)", hint: "check the address it came from")
        case .legacyGGML:
            ModelFileError(
                .unsupportedVersion, file: file, "is in a GGML format older than GGUF", expected: format,
                hint: "get the model as GGUF version 2 or 3")
        case .archive(let kind):
            ModelFileError(.wrongFormat, file: file, "is \(kind), not \(format)", hint: "unpack it first")
        case .gguf: wrongFormat(file, "a GGUF file", format)
        case .safetensors: wrongFormat(file, "a safetensors file", format)
        case .json: wrongFormat(file, "a JSON file", format)
        case .text: wrongFormat(file, "a text file", format)
        case .binary: wrongFormat(file, "a binary file of unknown format", format)
        }
    }

    private func wrongFormat(_ file: String, _ kind: String, _ format: String) -> ModelFileError {
        ModelFileError(.wrongFormat, file: file, "is \(kind), not \(format)")
    }
}
