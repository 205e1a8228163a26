import Testing

@testable import LoadGenerator

@Suite struct WorkloadPlanTests {
    private func requests(_ workload: Workload, count: Int = 400) -> [PlannedRequest] {
        var plan = WorkloadPlan(workload)
        return (0..<count).map { _ in plan.next() }
    }

    private func workload(
        seed: UInt64 = 7, adapters: Int = 0, _ popularity: AdapterPopularity = .distinct, rate: Double? = nil
    ) -> Workload {
        var workload = Workload(seed: seed)
        (workload.adapterCount, workload.popularity, workload.rate) = (adapters, popularity, rate)
        workload.promptTokens = .uniform(10...90)
        workload.outputTokens = .normal(mean: 40, deviation: 10)
        return workload
    }

    @Test func sameSeedGivesSameRequests() {
        let first = requests(workload(adapters: 9, .zipf(exponent: 1), rate: 3))
        #expect(first == requests(workload(adapters: 9, .zipf(exponent: 1), rate: 3)))
        #expect(first != requests(workload(seed: 8, adapters: 9, .zipf(exponent: 1), rate: 3)))
    }

    @Test func adaptersDoNotChangeLengths() {
        let base = requests(workload())
        let zipf = requests(workload(adapters: 64, .zipf(exponent: 1.5), rate: 10))
        #expect(base.map(\.promptTokens) == zipf.map(\.promptTokens))
        #expect(base.map(\.outputTokens) == zipf.map(\.outputTokens))
        #expect(base.allSatisfy { $0.adapter == nil && $0.arrival == 0 })
    }

    @Test func distinctTakesAdaptersInTurn() {
        #expect(requests(workload(adapters: 3), count: 7).map(\.adapter) == [0, 1, 2, 0, 1, 2, 0])
    }

    @Test func identicalTakesTheFirst() {
        #expect(Set(requests(workload(adapters: 5, .identical)).map(\.adapter)) == [0])
    }

    @Test func uniformTakesAllAboutAsOften() {
        let counts = Dictionary(grouping: requests(workload(adapters: 8, .uniform), count: 8000)) { $0.adapter }
        #expect(counts.count == 8)
        #expect(counts.values.allSatisfy { (850...1150).contains($0.count) })
    }

    @Test func zipfFollowsItsLaw() {
        let counts = Dictionary(grouping: requests(workload(adapters: 50, .zipf(exponent: 1)), count: 45_000)) {
            $0.adapter ?? -1
        }.mapValues(\.count)
        // The 50th harmonic number is 4.499: the first adapter is asked 10,000 times, the k-th a k-th of that.
        #expect((9700...10_300).contains(counts[0] ?? 0))
        #expect((4700...5300).contains(counts[1] ?? 0))
        #expect((860...1140).contains(counts[9] ?? 0))
        #expect(counts.keys.allSatisfy { (0..<50).contains($0) })
    }

    @Test func arrivalsArePoisson() {
        let arrivals = requests(workload(rate: 20), count: 20_000).map(\.arrival)
        let pauses = zip(arrivals.dropFirst(), arrivals).map { $0 - $1 }
        #expect(pauses.allSatisfy { $0 >= 0 })
        let mean = pauses.reduce(0, +) / Double(pauses.count)
        #expect(abs(mean - 0.05) < 0.002)
        // Exponential pauses deviate by their mean; regular ones would not.
        let variance = pauses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(pauses.count)
        #expect(abs(variance.squareRoot() - 0.05) < 0.003)
    }

    @Test func lengthsStayInTheirRange() {
        let lengths = requests(workload(), count: 5000)
        #expect(lengths.allSatisfy { (10...90).contains($0.promptTokens) })
        #expect(Set(lengths.map(\.promptTokens)).count == 81)
        let mean = Double(lengths.reduce(0) { $0 + $1.outputTokens }) / 5000
        #expect(abs(mean - 40) < 1)
    }
}

@Suite struct LoadOptionTextTests {
    private func length(_ text: String, file: String = "") throws -> LengthDistribution {
        try LengthDistribution(text) { _ in file }
    }

    @Test func lengthsAreRead() throws {
        #expect(try length("128") == .constant(128))
        #expect(try length("uniform:1,5") == .uniform(1...5))
        #expect(try length("normal:10,2.5") == .normal(mean: 10, deviation: 2.5))
        #expect(try length("file:x", file: "3\n\n 8 \r\n") == .observed([3, 8]))
    }

    @Test(arguments: [
        "", "0", "-1", "1.5", "9999999", "uniform:5,1", "uniform:1", "uniform:0,4", "normal:0,1", "normal:nan,1",
        "normal:5,-1", "normal:5,inf", "poisson:4", "file", "uniform:1,2,3",
    ])
    func otherLengthsAreRefused(_ text: String) {
        #expect(throws: LoadGeneratorError.self) { try length(text) }
    }

    @Test(arguments: ["", "\n", "12\nx\n", "0\n", "1 2\n"]) func filesWithOtherThanLengthsAreRefused(_ file: String) {
        #expect(throws: LoadGeneratorError.self) { try length("file:x", file: file) }
    }

    @Test func popularitiesAreRead() throws {
        for text in ["identical", "uniform", "distinct"] { #expect(try AdapterPopularity(text).text == text) }
        #expect(try AdapterPopularity("zipf") == .zipf(exponent: 1))
        #expect(try AdapterPopularity("zipf:1.2") == .zipf(exponent: 1.2))
        for text in ["", "zipf:", "zipf:x", "zipf:-1", "zipf:nan", "skewed"] {
            #expect(throws: LoadGeneratorError.self) { try AdapterPopularity(text) }
        }
    }
}
