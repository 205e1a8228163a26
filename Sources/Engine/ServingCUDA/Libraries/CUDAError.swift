/// Why CUDA could not be used, or failed. Messages name what was asked, what happened and, where there is something to
/// do, what.
public struct CUDAError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    public enum Code: Sendable, Equatable {
        /// A library is not installed.
        case libraryMissing
        /// A library is there but lacks a symbol, cannot be opened or does not fit the driver.
        case libraryUnusable
        /// The driver finds no device, or not the one asked for.
        case noDevice
        /// The device has not the memory that was asked for.
        case outOfMemory
        /// A kernel could not be compiled.
        case compilationFailed
        /// The device failed in its work; nothing more can be done with it in this process.
        case deviceFailed
        /// A tensor, layout or batch that does not fit the operation.
        case invalid
    }

    /// The kind of failure.
    public let code: Code
    /// The message.
    public let description: String

    /// An error.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
