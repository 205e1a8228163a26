public import ServingJSON

extension JSONValue {
    /// Reads a JSON file.
    ///
    /// - Throws: What ``MappedFile`` throws, `invalidJSON`, or what the file is instead.
    public init(readingFile path: String) throws(ModelFileError) {
        let file = try MappedFile(path: path)
        do {
            self = try JSONValue(parsing: file.bytes)
        } catch {
            switch FileContent(file.bytes) {
            case .json, .text, .safetensors:
                throw ModelFileError(.invalidJSON, file: path, offset: error.offset, error.reason)
            case let content: throw content.error(path, expected: "a JSON file")
            }
        }
    }

    /// Reads a JSON file that may be absent.
    init?(readingFileIfPresent path: String) throws(ModelFileError) {
        do {
            try self.init(readingFile: path)
        } catch  where error.code == .missing {
            return nil
        }
    }
}
