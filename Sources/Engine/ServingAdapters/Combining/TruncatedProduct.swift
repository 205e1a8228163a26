import ServingTensors

extension LowRankUpdate {
    /// The best approximation of given rank to `sum factor * B A` in the least-squares sense, by singular values.
    ///
    /// The sum is `[factor B ...] [A ...]`, so its rank is at most the sum of the ranks: both factors are made
    /// orthonormal, and only the small core between them is decomposed. In double.
    static func truncating(_ terms: [(update: LowRankUpdate, factor: Double)], rank: Int) -> LowRankUpdate {
        let (rows, columns) = (terms[0].update.loraB.shape[0], terms[0].update.loraA.shape[1])
        // Columns of the left factor and of the right one, transposed.
        var left: [[Double]] = []
        var right: [[Double]] = []
        for (update, factor) in terms {
            let (loraA, loraB) = (update.loraA.decoded(), update.loraB.decoded())
            for index in 0..<update.rank {
                left.append((0..<rows).map { factor * Double(loraB[$0 * update.rank + index]) })
                right.append(loraA[index * columns..<(index + 1) * columns].map(Double.init))
            }
        }
        let (leftBasis, rightBasis) = (Orthonormalized(left), Orthonormalized(right))
        // core[j][i]: column j over the right basis, row i over the left.
        let core = rightBasis.basis.indices.map { j in
            leftBasis.basis.indices.map { i in
                left.indices.reduce(0.0) { $0 + leftBasis.coefficients[$1][i] * rightBasis.coefficients[$1][j] }
            }
        }
        let triples = SingularTriple.decompose(columns: core).prefix(rank)
        let kept = max(triples.count, 1)
        var loraA = [Float](repeating: 0, count: kept * columns)
        var loraB = [Float](repeating: 0, count: rows * kept)
        for (index, triple) in triples.enumerated() {
            let output = Orthonormalized.combine(leftBasis.basis, triple.left, count: rows)
            let input = Orthonormalized.combine(rightBasis.basis, triple.right, count: columns)
            for row in 0..<rows { loraB[row * kept + index] = Float(output[row] * triple.value) }
            for column in 0..<columns { loraA[index * columns + column] = Float(input[column]) }
        }
        return LowRankUpdate(
            loraA: StoredTensor(name: "merged.lora_A", shape: [kept, columns], values: loraA),
            loraB: StoredTensor(name: "merged.lora_B", shape: [rows, kept], values: loraB), scaling: 1)
    }
}

/// An orthonormal basis of some vectors and their coordinates in it: Gram-Schmidt, done twice for accuracy. Vectors
/// that depend on earlier ones add nothing to the basis.
struct Orthonormalized {
    private(set) var basis: [[Double]] = []
    /// One list a vector; all as long as the basis.
    private(set) var coefficients: [[Double]] = []

    /// What is left of a vector, against its length, counts as rounding below this.
    private static let tolerance = 1e-12

    init(_ vectors: [[Double]]) {
        for vector in vectors {
            var rest = vector
            var own = [Double](repeating: 0, count: basis.count)
            for _ in 0..<2 {
                for (index, direction) in basis.enumerated() {
                    let share = Self.dot(rest, direction)
                    own[index] += share
                    for element in rest.indices { rest[element] -= share * direction[element] }
                }
            }
            let norm = Self.dot(rest, rest).squareRoot()
            if norm > Self.tolerance * Self.dot(vector, vector).squareRoot() {
                basis.append(rest.map { $0 / norm })
                own.append(norm)
            }
            coefficients.append(own)
        }
        for index in coefficients.indices {
            coefficients[index] += [Double](repeating: 0, count: basis.count - coefficients[index].count)
        }
    }

    static func dot(_ left: [Double], _ right: [Double]) -> Double {
        var sum = 0.0
        for index in left.indices { sum += left[index] * right[index] }
        return sum
    }

    static func combine(_ basis: [[Double]], _ coordinates: [Double], count: Int) -> [Double] {
        var sum = [Double](repeating: 0, count: count)
        for (direction, share) in zip(basis, coordinates) {
            for index in sum.indices { sum[index] += share * direction[index] }
        }
        return sum
    }
}

/// A singular value with its directions.
struct SingularTriple {
    let value: Double
    let left: [Double]
    let right: [Double]

    private static let sweepLimit = 60
    private static let tolerance = 1e-14

    /// All singular values above rounding of a matrix given by its columns, largest first: one-sided Jacobi (Hestenes),
    /// which turns pairs of columns until all are orthogonal.
    static func decompose(columns: [[Double]]) -> [SingularTriple] {
        var columns = columns
        var rotations = columns.indices.map { own in columns.indices.map { $0 == own ? 1.0 : 0 } }
        for _ in 0..<sweepLimit {
            var isDone = true
            for first in columns.indices {
                for second in columns.indices where second > first {
                    guard let turn = Turn(columns[first], columns[second], tolerance: tolerance) else { continue }
                    isDone = false
                    turn.apply(&columns, first, second)
                    turn.apply(&rotations, first, second)
                }
            }
            if isDone { break }
        }
        let norms = columns.map { Orthonormalized.dot($0, $0).squareRoot() }
        let least = (norms.max() ?? 0) * 1e-14
        return columns.indices.filter { norms[$0] > least }.sorted { norms[$0] > norms[$1] }.map { index in
            SingularTriple(
                value: norms[index], left: columns[index].map { $0 / norms[index] }, right: rotations[index])
        }
    }

    /// The turn that makes two columns orthogonal; nil where they are.
    private struct Turn {
        let cosine: Double
        let sine: Double

        init?(_ first: [Double], _ second: [Double], tolerance: Double) {
            let (a, b) = (Orthonormalized.dot(first, first), Orthonormalized.dot(second, second))
            let mixed = Orthonormalized.dot(first, second)
            guard abs(mixed) > tolerance * (a * b).squareRoot() else { return nil }
            let zeta = (b - a) / (2 * mixed)
            let tangent = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
            cosine = 1 / (1 + tangent * tangent).squareRoot()
            sine = cosine * tangent
        }

        func apply(_ columns: inout [[Double]], _ first: Int, _ second: Int) {
            for row in columns[first].indices {
                let (x, y) = (columns[first][row], columns[second][row])
                columns[first][row] = cosine * x - sine * y
                columns[second][row] = sine * x + cosine * y
            }
        }
    }
}
