/// Which device computes: `auto`, `cpu`, `cuda` or `cuda:1`.
public enum DeviceChoice: Sendable, Equatable, CustomStringConvertible {
    /// The first GPU that can be used, else the processor.
    case auto
    /// The processor.
    case cpu
    /// The GPU of this number among those that the driver shows.
    case cuda(Int)

    /// The choice as it is written; nil for what is none.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "cpu": self = .cpu
        case "cuda": self = .cuda(0)
        default:
            guard text.hasPrefix("cuda:"), let ordinal = Int(text.dropFirst(5)), (0..<1024).contains(ordinal),
                text == "cuda:\(ordinal)"
            else { return nil }
            self = .cuda(ordinal)
        }
    }

    /// As it is written.
    public var description: String {
        switch self {
        case .auto: "auto"
        case .cpu: "cpu"
        case .cuda(let ordinal): "cuda:\(ordinal)"
        }
    }

    /// `auto`, `cpu` or `cuda`.
    public var kind: String { if case .cuda = self { "cuda" } else { description } }
}
