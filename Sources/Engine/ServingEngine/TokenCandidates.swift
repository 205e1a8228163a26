import Glibc
import ServingTensors

/// The tokens that may still be drawn, as parallel lists in order of their ids: id, key and weight.
///
/// A key is how far a token's score, divided by the temperature, lies below the highest (0 for the likeliest); its
/// weight is exp(-key), its probability but for a common factor. The lists are scratch space, kept from token to token.
struct TokenCandidates: ~Copyable {
    /// (V) each, of which `count` are in use.
    private var ids = UnsafeMutableBufferPointer<TokenID>.allocate(capacity: 0)
    private var keys = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
    private var weights = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
    /// How far a token is from typical, (V).
    private var distances = UnsafeMutableBufferPointer<Float>.allocate(capacity: 0)
    private(set) var count = 0
    /// While nothing is removed, the ids are the indices and are not written down.
    private var isWholeRow = true
    /// Weight in each bin of keys; all zero between uses.
    private var bins = [Double](repeating: 0, count: 1 << 12)

    init() {}

    deinit { Self.deallocate(ids, keys, weights, distances) }

    private static func deallocate(
        _ ids: UnsafeMutableBufferPointer<TokenID>, _ lists: UnsafeMutableBufferPointer<Float>...
    ) {
        ids.deallocate()
        for list in lists { list.deallocate() }
    }

    private mutating func reserve(_ vocabularyCount: Int) {
        guard ids.count < vocabularyCount else { return }
        Self.deallocate(ids, keys, weights, distances)
        ids = .allocate(capacity: vocabularyCount)
        ids.initialize(repeating: 0)
        keys = .allocate(capacity: vocabularyCount)
        keys.initialize(repeating: 0)
        weights = .allocate(capacity: vocabularyCount)
        weights.initialize(repeating: 0)
        distances = .allocate(capacity: vocabularyCount)
        distances.initialize(repeating: 0)
    }

    /// Fills the lists with a whole row and returns the sum of its weights.
    mutating func takeRow(_ row: UnsafeBufferPointer<Float>, highest: Float, temperature: Float) -> Double {
        reserve(row.count)
        count = row.count
        isWholeRow = true
        return LogitScan.weigh(row, highest: highest, temperature: temperature, keys: keys, weights: weights)
    }

    /// Fills the lists with some of a row's tokens, in order of their ids.
    mutating func take(_ some: [TokenID], of row: UnsafeBufferPointer<Float>, highest: Float, temperature: Float) {
        reserve(row.count)
        count = some.count
        isWholeRow = false
        for (index, id) in some.enumerated() {
            ids[index] = id
            keys[index] = (highest - row[Int(id)]) / temperature
            weights[index] = LogitScan.decay(keys[index])
        }
    }

    /// Sum of the weights.
    var total: Double { LogitScan.sum(UnsafeBufferPointer(rebasing: weights[..<count])) }

    private func id(_ index: Int) -> TokenID { isWholeRow ? TokenID(index) : ids[index] }

    private mutating func keep(_ holds: (_ index: Int) -> Bool) {
        var kept = 0
        for index in 0..<count where holds(index) {
            ids[kept] = id(index)
            keys[kept] = keys[index]
            weights[kept] = weights[index]
            kept += 1
        }
        count = kept
        isWholeRow = false
    }

    /// Keeps the likeliest tokens until their share of the weight reaches `share`.
    mutating func keepLikeliest(share: Float) {
        let keys = keys
        let cut = cut(keys, target: Double(share) * total)
        keep { cut.keeps(keys[$0], index: $0) }
    }

    /// Keeps the tokens at least `share` as likely as the likeliest, whose weight is 1.
    mutating func keepAtLeast(shareOfLikeliest share: Float) {
        let weights = weights
        keep { weights[$0] >= share }
    }

    /// Keeps the tokens whose surprise is nearest the entropy until their share of the weight reaches `share`.
    mutating func keepTypical(share: Float) {
        let total = total
        let logTotal = log(total)
        var entropy = 0.0
        for index in 0..<count where weights[index] > 0 {
            entropy += Double(weights[index]) / total * (Double(keys[index]) + logTotal)
        }
        let distances = distances
        for index in 0..<count { distances[index] = Float(abs(Double(keys[index]) + logTotal - entropy)) }
        let cut = cut(distances, target: Double(share) * total)
        keep { cut.keeps(distances[$0], index: $0) }
    }

    /// The token at `fraction`, in [0, 1), of the weights laid end to end in order of the ids; nil when there is none.
    func draw(_ fraction: Double) -> TokenID? {
        let target = fraction * total
        var passed = 0.0
        var last: Int?
        for start in stride(from: 0, to: count, by: 512) {
            let end = min(start + 512, count)
            let block = LogitScan.sum(UnsafeBufferPointer(rebasing: weights[start..<end]))
            guard block > 0 else { continue }
            if passed + block <= target {
                passed += block
                last = (start..<end).last { weights[$0] > 0 }
                continue
            }
            for index in start..<end where weights[index] > 0 {
                passed += Double(weights[index])
                last = index
                if passed > target { return id(index) }
            }
        }
        // Rounding left the target at or above the sum: the last token that can be drawn.
        return last.map { id($0) }
    }

    // MARK: Cutting by accumulated weight

    /// Where a list ordered by (key, index) is cut.
    private struct Cut {
        var key = Float.infinity
        var index = Int.max

        func keeps(_ key: Float, index: Int) -> Bool {
            key < self.key || key == self.key && index <= self.index
        }
    }

    /// The last item of the shortest beginning, in order of (key, index), whose weight reaches `target`.
    ///
    /// Keys are >= 0, so their bit patterns are in order too: the leading 13 bits, of which the sign is 0, name a bin.
    /// The bin where the sum of the weights passes the target is the only one that is sorted.
    private mutating func cut(_ keys: UnsafeMutableBufferPointer<Float>, target: Double) -> Cut {
        for index in 0..<count where weights[index] > 0 {
            bins[Int(keys[index].bitPattern >> 19)] += Double(weights[index])
        }
        var sum = 0.0
        var boundary: (bin: UInt32, before: Double)?
        for bin in bins.indices where bins[bin] > 0 {
            if boundary == nil, sum + bins[bin] >= target { boundary = (UInt32(bin), sum) }
            sum += bins[bin]
            bins[bin] = 0
        }
        guard let boundary else { return Cut() }
        var members: [Int] = []
        for index in 0..<count where keys[index].bitPattern >> 19 == boundary.bin && weights[index] > 0 {
            members.append(index)
        }
        members.sort { keys[$0] < keys[$1] || keys[$0] == keys[$1] && $0 < $1 }
        sum = boundary.before
        for member in members {
            sum += Double(weights[member])
            if sum >= target { return Cut(key: keys[member], index: member) }
        }
        return members.last.map { Cut(key: keys[$0], index: $0) } ?? Cut()
    }
}
