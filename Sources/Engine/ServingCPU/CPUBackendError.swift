/// Why the CPU backend refused something. Messages name what was asked and what is possible.
public enum CPUBackendError: Error, Equatable, CustomStringConvertible {
    /// Memory that the system did not give.
    case outOfMemory(purpose: String, bytes: Int)
    /// A size whose bytes cannot be counted.
    case tooLarge(purpose: String)
    /// A tensor, layout or batch that does not fit the operation.
    case invalid(String)
    /// An instruction set that is unknown or that this processor lacks.
    case unknownInstructionSet(String)

    /// The message.
    public var description: String {
        switch self {
        case .outOfMemory(let purpose, let bytes): "no memory for \(purpose): \(bytes) bytes (\(bytes >> 20) MiB)"
        case .tooLarge(let purpose): "\(purpose) is too large: its size in bytes overflows"
        case .invalid(let what): what
        case .unknownInstructionSet(let name):
            "instruction set \"\(name)\" is unknown or not available here (scalar, avx2, avx512)"
        }
    }
}

/// The product of sizes, or an error where it overflows.
func checkedProduct(_ factors: Int..., for purpose: @autoclosure () -> String) throws(CPUBackendError) -> Int {
    var product = 1
    for factor in factors {
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        guard !overflow, next >= 0 else { throw .tooLarge(purpose: purpose()) }
        product = next
    }
    return product
}
