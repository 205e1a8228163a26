/// Why a model file or folder cannot be used: which file, where in it, what was expected and found, and what to do.
public struct ModelFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of fault it is. Callers branch on this, never on the text.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case missing, unreadable, isFolder, notRegularFile, empty, notAModel, wrongFormat, unsupportedVersion
            case bigEndian, incompleteDownload, truncated, limitExceeded, malformed, invalidJSON, duplicateKey
            case duplicateTensor, unsupportedTensorType, invalidShape, misaligned, overlap, gap, sizeMismatch
            case unsafePath, missingTensor, pickle, ambiguous, notWritten
        }
        private let kind: Kind

        /// A stable name, fit for a metric's label.
        public var description: String { kind.rawValue }

        /// There is no such file.
        public static let missing = Code(kind: .missing)
        /// The file exists, but the system refuses to open, read or list it.
        public static let unreadable = Code(kind: .unreadable)
        /// A folder stands where a file was expected.
        public static let isFolder = Code(kind: .isFolder)
        /// A device, pipe or socket stands where a file was expected.
        public static let notRegularFile = Code(kind: .notRegularFile)
        /// The file has no bytes.
        public static let empty = Code(kind: .empty)
        /// The path holds nothing that a model could be read from.
        public static let notAModel = Code(kind: .notAModel)
        /// The content is not of the format that was asked for.
        public static let wrongFormat = Code(kind: .wrongFormat)
        /// A version of the format that is not read.
        public static let unsupportedVersion = Code(kind: .unsupportedVersion)
        /// A file in big-endian byte order.
        public static let bigEndian = Code(kind: .bigEndian)
        /// What is there is the beginning, or only a pointer, of a file that was to be downloaded.
        public static let incompleteDownload = Code(kind: .incompleteDownload)
        /// The file ends before something that it announces.
        public static let truncated = Code(kind: .truncated)
        /// A count or nesting beyond what the file could hold or a reader accepts.
        public static let limitExceeded = Code(kind: .limitExceeded)
        /// A field whose value makes no sense.
        public static let malformed = Code(kind: .malformed)
        /// A JSON part that does not parse or has the wrong structure.
        public static let invalidJSON = Code(kind: .invalidJSON)
        /// A metadata key that occurs twice.
        public static let duplicateKey = Code(kind: .duplicateKey)
        /// A tensor name that occurs twice.
        public static let duplicateTensor = Code(kind: .duplicateTensor)
        /// A tensor encoding that the engine cannot compute with.
        public static let unsupportedTensorType = Code(kind: .unsupportedTensorType)
        /// Dimensions that are too many, too large, or do not fit the encoding.
        public static let invalidShape = Code(kind: .invalidShape)
        /// A tensor that does not start at a multiple of the alignment.
        public static let misaligned = Code(kind: .misaligned)
        /// Two tensors that share bytes.
        public static let overlap = Code(kind: .overlap)
        /// Bytes that belong to no tensor where the format allows none.
        public static let gap = Code(kind: .gap)
        /// A byte count that differs from what shape and encoding imply.
        public static let sizeMismatch = Code(kind: .sizeMismatch)
        /// A file name that leads out of the model's folder.
        public static let unsafePath = Code(kind: .unsafePath)
        /// A tensor that is listed or needed but not there.
        public static let missingTensor = Code(kind: .missingTensor)
        /// A Python pickle, which can run code when it is read and is therefore never read.
        public static let pickle = Code(kind: .pickle)
        /// Several models where one was asked for.
        public static let ambiguous = Code(kind: .ambiguous)
        /// Writing failed.
        public static let notWritten = Code(kind: .notWritten)
    }

    /// The kind of fault.
    public let code: Code
    /// Path of the file or folder, or the name under which bytes were given.
    public let file: String
    /// Offset in bytes from the start of the file, where one makes sense.
    public let offset: Int?
    /// The part concerned, for instance `tensor "blk.0.attn_q.weight"`.
    public let subject: String?
    /// What is wrong.
    public let problem: String
    /// What was expected, where the problem alone does not say so.
    public let expected: String?
    /// What was found instead.
    public let found: String?
    /// What the user can do about it.
    public let hint: String?

    /// A fault in `file`.
    public init(
        _ code: Code, file: String, offset: Int? = nil, subject: String? = nil, _ problem: String,
        expected: String? = nil, found: String? = nil, hint: String? = nil
    ) {
        self.code = code
        self.file = file
        self.offset = offset
        self.subject = subject
        self.problem = problem
        self.expected = expected
        self.found = found
        self.hint = hint
    }

    /// One line: `file: subject at offset N: problem, expected E, found F (hint)`.
    public var description: String {
        var text = Self.printable(file) + ": "
        if let subject { text += subject }
        if let offset { text += subject == nil ? "at offset \(offset)" : " at offset \(offset)" }
        if subject != nil || offset != nil { text += ": " }
        text += problem
        if let expected { text += ", expected \(expected)" }
        if let found { text += ", found \(found)" }
        if let hint { text += " (\(hint))" }
        return text
    }

    /// A name out of a file, in quotation marks, fit for one line of a terminal however hostile it is.
    static func quoted(_ name: String) -> String { "\"" + printable(name, limit: 96) + "\"" }

    private static func printable(_ text: String, limit: Int = 4096) -> String {
        var result = ""
        for (position, scalar) in text.unicodeScalars.enumerated() {
            if position == limit { return result + "..." }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
