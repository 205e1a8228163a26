/// What one rendering may use before it is stopped with ``ChatTemplateError/Code/limit``.
public struct ChatTemplateLimits: Sendable, Equatable {
    /// Evaluated expressions and statements, list elements made, and a share of the bytes of text made (one step for
    /// 32 bytes). Bounds time and memory: 3 million take well under a second.
    public var steps: Int
    /// Bytes of the rendered text, and of any one string.
    public var outputBytes: Int
    /// Depth of macro calls and recursive loops.
    public var recursion: Int
    /// Bytes of the calling thread's stack.
    public var stackBytes: Int

    /// Limits that no sensible template reaches.
    public init(
        steps: Int = 3_000_000, outputBytes: Int = 16 << 20, recursion: Int = 200, stackBytes: Int = 2 << 20
    ) {
        self.steps = steps
        self.outputBytes = outputBytes
        self.recursion = recursion
        self.stackBytes = stackBytes
    }

    /// Longest template source in bytes.
    static let sourceBytes = 4 << 20
    /// Deepest nesting of parentheses and tags.
    static let nesting = 100
    /// Deepest expression tree; a chain of operators counts one for each link.
    static let expressionDepth = 500
    /// Deepest nesting of lists and dictionaries made by a template.
    static let valueDepth = 600
    /// Most values, counted with all that they hold, in one comparison or key.
    static let comparedValues = 200_000
    /// Longest format of `strftime_now` in bytes.
    static let dateFormatBytes = 1000
    /// Longest range, as in Jinja's sandbox.
    static let rangeLength = 100_000
}
