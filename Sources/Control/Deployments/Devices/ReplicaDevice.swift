/// What one replica computes on, as `pbctl engine serve --device` takes it.
package enum ReplicaDevice: Sendable, Hashable, CustomStringConvertible {
    /// The processor.
    case cpu
    /// The GPU of this number among those that the driver shows.
    case cuda(Int)

    /// Nil for what names no device, `auto` among it.
    package init?(_ text: String) {
        switch text {
        case "cpu": self = .cpu
        case "cuda": self = .cuda(0)
        default:
            guard text.hasPrefix("cuda:"), let ordinal = Int(text.dropFirst(5)), ordinal >= 0 else { return nil }
            self = .cuda(ordinal)
        }
    }

    /// The device that the arguments of a replica name; nil where they leave the choice to the replica.
    package init?(arguments: [String]) {
        guard let place = arguments.lastIndex(of: "--device"), place + 1 < arguments.count else { return nil }
        self.init(arguments[place + 1])
    }

    package var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let ordinal): "cuda:\(ordinal)"
        }
    }

    /// `cpu` or `cuda`.
    package var kind: String { self == .cpu ? "cpu" : "cuda" }
}

/// A GPU of the machine that replicas run on.
package struct MachineGPU: Sendable, Hashable {
    /// Its number among those that the driver shows.
    package var ordinal: Int
    /// As the driver names it.
    package var name: String
    /// Bytes of its memory.
    package var memoryBytes: Int

    package init(ordinal: Int, name: String, memoryBytes: Int) {
        self.ordinal = ordinal
        self.name = name
        self.memoryBytes = memoryBytes
    }

    package var device: ReplicaDevice { .cuda(ordinal) }
    /// Gigabytes as its maker counts them.
    var gigabytes: Int { Int((Double(memoryBytes) / 1e9).rounded()) }
}
