import Glibc

/// Which adapter a request names; the kinds are those of the Punica paper (arXiv 2310.18547).
public enum AdapterPopularity: Sendable, Equatable {
    /// All the first.
    case identical
    /// Any, equally likely.
    case uniform
    /// The k-th (from 1) with a probability in proportion to 1 / k^exponent.
    case zipf(exponent: Double)
    /// One after another, in turn: with as many adapters as requests in flight, all of them at once.
    case distinct

    /// Reads `identical`, `uniform`, `distinct`, `zipf` (exponent 1) or `zipf:1.5`.
    public init(_ text: String) throws(LoadGeneratorError) {
        switch text {
        case "identical": self = .identical
        case "uniform": self = .uniform
        case "distinct": self = .distinct
        case "zipf": self = .zipf(exponent: 1)
        default:
            guard text.hasPrefix("zipf:"), let exponent = Double(text.dropFirst(5)), (0...100).contains(exponent)
            else {
                throw LoadGeneratorError(
                    .badOption,
                    "popularity \"\(text)\": expected identical, uniform, distinct, zipf or zipf:EXPONENT (0 to 100)")
            }
            self = .zipf(exponent: exponent)
        }
    }

    /// As ``init(_:)`` reads it.
    public var text: String {
        switch self {
        case .identical: "identical"
        case .uniform: "uniform"
        case .distinct: "distinct"
        case .zipf(let exponent): "zipf:\(exponent)"
        }
    }
}

/// Draws adapters, by number, from a popularity.
struct AdapterChooser: Sendable {
    private let popularity: AdapterPopularity
    private let count: Int
    /// For zipf: `shares[k]` is the probability of any of the first k + 1 adapters.
    private let shares: [Double]

    /// - Parameter count: number of adapters, at least 1.
    init(_ popularity: AdapterPopularity, count: Int) {
        precondition(count > 0)
        self.popularity = popularity
        self.count = count
        guard case .zipf(let exponent) = popularity else {
            shares = []
            return
        }
        let weights = (1...count).map { pow(Double($0), -exponent) }
        let total = weights.reduce(0, +)
        var sum = 0.0
        shares = weights.map {
            sum += $0
            return sum / total
        }
    }

    /// The adapter, `0..<count`, of the request of number `index`.
    func choose(index: Int, _ generator: inout SeededGenerator) -> Int {
        switch popularity {
        case .identical: return 0
        case .distinct: return index % count
        case .uniform: return Int.random(in: 0..<count, using: &generator)
        case .zipf:
            let point = generator.unit()
            var (low, high) = (0, count - 1)
            while low < high {
                let middle = (low + high) / 2
                if shares[middle] > point { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }
}
