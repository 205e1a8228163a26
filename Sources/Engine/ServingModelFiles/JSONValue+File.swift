public import ServingJSON

extension JSONValue {
    /// Reads a JSON file.
    ///
    /// - Throws: What ``MappedFile`` throws, `invalidJSON`, or what the file is instead.
    public init(readingFile path: String) throws(ModelFileError) {
        let file = try MappedFile(path: path)
        self = try file.withBytes { bytes throws(ModelFileError) in
            do throws(JSONParseError) {
                return try JSONValue(parsing: bytes)
            } catch {
                switch FileContent(bytes) {
                case .json, .text, .safetensors:
                    throw ModelFileError(.invalidJSON, file: path, offset: error.offset, error.reason)
                case let content: throw content.error(path, expected: "a JSON file")
                }
            }
        }
    }

    /// Reads a JSON file that may be absent.
    static func readIfPresent(_ path: String) throws(ModelFileError) -> JSONValue? {
        do throws(ModelFileError) {
            return try JSONValue(readingFile: path)
        } catch {
            guard error.code == .missing else { throw error }
            return nil
        }
    }
}
