import Glibc
import ServingTensors

/// Passes over a row of scores, (V), written for vector units. Results depend on the row alone, not on its alignment.
enum LogitScan {
    private typealias Lanes = SIMD16<Float>
    private static let laneCount = 16
    /// Scores that are looked at together when a maximum is sought.
    private static let blockCount = 1024

    /// The highest score and its index, the lowest of equals; nil when no score is above -infinity. Skips NaN.
    static func maximum(_ row: UnsafeBufferPointer<Float>) -> (score: Float, index: Int)? {
        guard let base = row.baseAddress else { return nil }
        var best = -Float.infinity
        var bestStart = -1
        var start = 0
        while start < row.count {
            let end = min(start + blockCount, row.count)
            let block = blockMaximum(UnsafeBufferPointer(start: base + start, count: end - start))
            if block > best {
                best = block
                bestStart = start
            }
            start = end
        }
        guard bestStart >= 0 else { return nil }
        var index = bestStart
        while row[index] != best { index += 1 }
        return (best, index)
    }

    private static func blockMaximum(_ block: UnsafeBufferPointer<Float>) -> Float {
        guard let base = block.baseAddress else { return -.infinity }
        let bytes = UnsafeRawPointer(base)
        var first = Lanes(repeating: -.infinity)
        var second = first
        var index = 0
        while index + 2 * laneCount <= block.count {
            let one = bytes.loadUnaligned(fromByteOffset: index * 4, as: Lanes.self)
            let two = bytes.loadUnaligned(fromByteOffset: (index + laneCount) * 4, as: Lanes.self)
            first.replace(with: one, where: one .> first)
            second.replace(with: two, where: two .> second)
            index += 2 * laneCount
        }
        first.replace(with: second, where: second .> first)
        var best = first.max()
        while index < block.count {
            if block[index] > best { best = block[index] }
            index += 1
        }
        return best
    }

    /// exp(-key) for keys >= 0; 0 for keys above 87, where the result would leave the normal numbers. NaN stays NaN.
    ///
    /// Range reduction by ln 2 in two parts and a polynomial of degree 6 (the Taylor terms to r^6 on |r| <= ln 2 / 2
    /// leave a relative error below 2e-7).
    @inline(__always)
    private static func decay(_ keys: SIMD8<Float>) -> SIMD8<Float> {
        let magic = SIMD8<Float>(repeating: 12_582_912)  // 1.5 * 2^23: adding it rounds to an integer
        let far = keys .> 87
        let value = -keys.replacing(with: 0, where: far)
        let shifted = value * 1.442_695_04 + magic
        let exponent = shifted - magic
        let rest = (value - exponent * 0.693_359_375) + exponent * 2.121_944_4e-4
        var sum = SIMD8<Float>(repeating: 1 / 720)
        sum = sum * rest + 1 / 120
        sum = sum * rest + 1 / 24
        sum = sum * rest + 1 / 6
        sum = sum * rest + 0.5
        sum = sum * rest + 1
        sum = sum * rest + 1
        let integers = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- unsafeBitCast(magic, to: SIMD8<Int32>.self)
        let power = unsafeBitCast((integers &+ 127) &<< 23, to: SIMD8<Float>.self)
        return (sum * power).replacing(with: 0, where: far)
    }

    /// exp(-key) of one key, as `weigh` computes it.
    static func decay(_ key: Float) -> Float { decay(SIMD8(repeating: key))[0] }

    /// Writes keys `(highest - score) / temperature` and weights `exp(-key)`, both (V), and returns the weights' sum.
    ///
    /// The division is done so, and not by a factor, that no temperature above 0 makes 0 * infinity.
    static func weigh(
        _ row: UnsafeBufferPointer<Float>, highest: Float, temperature: Float,
        keys: UnsafeMutableBufferPointer<Float>, weights: UnsafeMutableBufferPointer<Float>
    ) -> Double {
        precondition(keys.count >= row.count && weights.count >= row.count, "the row fits the scratch space")
        return fold(row) { scores, index in
            let key = (highest - scores) / temperature
            let weight = decay(key)
            store(key, keys, index)
            store(weight, weights, index)
            return weight
        }
    }

    /// Natural logarithm of the sum of the scores' exponentials.
    static func logSumExp(_ row: UnsafeBufferPointer<Float>, highest: Float) -> Double {
        let sum = fold(row) { scores, _ in decay(highest - scores) }
        return Double(highest) + log(sum)
    }

    /// Sum of weights, as `weigh` returns it.
    static func sum(_ weights: UnsafeBufferPointer<Float>) -> Double {
        fold(weights, padding: 0) { weights, _ in weights }
    }

    @inline(__always)
    private static func store(_ lanes: SIMD8<Float>, _ target: UnsafeMutableBufferPointer<Float>, _ index: Int) {
        if index + 8 <= target.count, let base = target.baseAddress {
            UnsafeMutableRawPointer(base + index).storeBytes(of: lanes, as: SIMD8<Float>.self)
        } else {
            for lane in 0..<max(0, target.count - index) { target[index + lane] = lanes[lane] }
        }
    }

    /// Adds up `transform` of eight scores at a time in float64. The last group is filled up with `padding`.
    @inline(__always)
    private static func fold(
        _ row: UnsafeBufferPointer<Float>, padding: Float = -.infinity,
        _ transform: (SIMD8<Float>, Int) -> SIMD8<Float>
    ) -> Double {
        guard let base = row.baseAddress else { return 0 }
        var sums = SIMD8<Double>(repeating: 0)
        var index = 0
        while index + 8 <= row.count {
            let scores = UnsafeRawPointer(base + index).loadUnaligned(as: SIMD8<Float>.self)
            sums += SIMD8<Double>(transform(scores, index))
            index += 8
        }
        if index < row.count {
            var scores = SIMD8<Float>(repeating: padding)
            for lane in 0..<row.count - index { scores[lane] = row[index + lane] }
            sums += SIMD8<Double>(transform(scores, index))
        }
        return sums.sum()
    }

    /// Indices of the `count` highest scores, highest first, the lower index first of equals. Leaves out -infinity and
    /// NaN.
    static func highest(_ count: Int, of row: UnsafeBufferPointer<Float>) -> [Int32] {
        guard let base = row.baseAddress, count > 0 else { return [] }
        var heap = ScoreHeap(capacity: min(count, row.count))
        var index = 0
        while index + laneCount <= row.count {
            let scores = UnsafeRawPointer(base + index).loadUnaligned(as: Lanes.self)
            if any(scores .> heap.threshold) {
                for lane in 0..<laneCount where scores[lane] > heap.threshold {
                    heap.insert(scores[lane], Int32(index + lane))
                }
            }
            index += laneCount
        }
        while index < row.count {
            if row[index] > heap.threshold { heap.insert(row[index], Int32(index)) }
            index += 1
        }
        return heap.sortedIndices()
    }
}

/// The highest scores seen so far; the lowest of them, of equals the one with the highest index, on top.
private struct ScoreHeap {
    private var items: [(score: Float, index: Int32)] = []
    private let capacity: Int
    /// Only scores above this one change the heap.
    private(set) var threshold = -Float.infinity

    init(capacity: Int) {
        self.capacity = capacity
        items.reserveCapacity(capacity)
    }

    private func isLower(_ left: (score: Float, index: Int32), _ right: (score: Float, index: Int32)) -> Bool {
        left.score < right.score || left.score == right.score && left.index > right.index
    }

    mutating func insert(_ score: Float, _ index: Int32) {
        if items.count < capacity {
            items.append((score, index))
            siftUp(items.count - 1)
        } else {
            items[0] = (score, index)
            siftDown(0)
        }
        if items.count == capacity { threshold = items[0].score }
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0, isLower(items[place], items[(place - 1) / 2]) {
            items.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        while true {
            var lowest = place
            for child in (2 * place + 1)..<(2 * place + 3) where child < items.count {
                if isLower(items[child], items[lowest]) { lowest = child }
            }
            if lowest == place { return }
            items.swapAt(place, lowest)
            place = lowest
        }
    }

    func sortedIndices() -> [Int32] { items.sorted { isLower($1, $0) }.map(\.index) }
}
