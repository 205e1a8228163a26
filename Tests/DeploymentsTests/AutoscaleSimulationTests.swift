import Deployments
import Testing

struct AutoscaleSimulationTests {
    private let service = AutoscaleSimulation.Service(secondsPerRequest: 2, slotsPerReplica: 1, startupSeconds: 10)

    private func limits(_ least: Int, _ most: Int, cooldown: Duration = .seconds(60)) -> ScalingLimits {
        ScalingLimits(minReplicas: least, maxReplicas: most, threshold: 1, cooldown: cooldown)
    }

    @Test func oneRequestWakesWaitsForTheStartAndLetsTheReplicaGo() throws {
        let trace = try AutoscaleTrace(parsing: "time_s,arrivals\n5,1\n6,0\n")
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(0, 3), service: service)
        #expect(simulation.decisions.map(\.time) == [5, 76])
        #expect(simulation.decisions.map(\.decision.reason) == [.woken, .idle])
        let summary = simulation.summary
        #expect(summary.requestCount == 1 && summary.unansweredCount == 0)
        #expect(summary.waitP50 == 10 && summary.longestWait == 10)
        #expect(summary.peakReplicas == 1 && summary.replicaSeconds == 71)
    }

    @Test func steadyLoadNeedsAsManyReplicasAsItKeepsBusy() throws {
        let trace = try SyntheticTrace.poisson.trace(duration: 2000, peak: 2, seed: 5)
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(1, 50), service: service)
        // Two a second at two seconds each keep four busy; chance asks for some more at times.
        let middle = simulation.points.filter { (500..<1900).contains($0.time) }
        #expect(middle.allSatisfy { (4...20).contains($0.readyReplicas) })
        #expect(simulation.summary.unansweredCount == 0)
        #expect(simulation.summary.waitP50 < 1)
        #expect(simulation.points.last?.desiredReplicas == 1)
    }

    @Test func fewerReplicasThanTheLoadNeedsMakeTheQueueGrow() throws {
        let trace = try SyntheticTrace.poisson.trace(duration: 600, peak: 2, seed: 5)
        let few = AutoscaleSimulation(trace: trace, limits: limits(0, 2), service: service)
        let many = AutoscaleSimulation(trace: trace, limits: limits(0, 20), service: service)
        #expect(few.summary.waitP95 > 100 && many.summary.waitP95 < 30)
        #expect(few.summary.requestCount == many.summary.requestCount)
        #expect(few.summary.peakReplicas == 2)
    }

    @Test func clientsThatAskAgainKeepTheLoadAtTheirNumber() throws {
        let trace = try AutoscaleTrace(parsing: "time_s,concurrency\n0,5\n100,2\n200,0\n300,0\n")
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(0, 10), service: service)
        #expect(simulation.points.filter { (1..<100).contains($0.time) }.allSatisfy { $0.load == 5 })
        #expect(simulation.points.filter { (103..<200).contains($0.time) }.allSatisfy { $0.load == 2 })
        #expect(simulation.points.filter { $0.time >= 203 }.allSatisfy { $0.load == 0 })
        #expect(simulation.summary.unansweredCount == 0)
    }

    @Test(arguments: SyntheticTrace.allCases)
    func everythingThatComesIsAnswered(kind: SyntheticTrace) throws {
        let trace = try kind.trace(duration: 900, peak: 5, seed: 1)
        let arrivals = Int(trace.rows.reduce(0) { $0 + $1.value })
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(0, 40), service: service)
        #expect(simulation.summary.requestCount == arrivals && arrivals > 100)
        #expect(simulation.summary.unansweredCount == 0)
        #expect(simulation.points.last?.replicas == 0)
        #expect(simulation.points.allSatisfy { $0.replicas <= 40 && $0.replicas == $0.desiredReplicas })
        let again = try kind.trace(duration: 900, peak: 5, seed: 1)
        let other = try kind.trace(duration: 900, peak: 5, seed: 2)
        #expect(trace == again && trace != other)
    }

    @Test func serviceThatNeverCatchesUpEnds() throws {
        let trace = try AutoscaleTrace(parsing: "0,100000\n1,0")
        let slow = AutoscaleSimulation.Service(secondsPerRequest: 1000, slotsPerReplica: 1, startupSeconds: 0)
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(0, 1), service: slow)
        #expect(simulation.summary.unansweredCount > 0)
        #expect(simulation.points.count <= 200_000)
    }

    @Test func emptyLoadOverALongTimeIsReplayedInBoundedSteps() throws {
        let trace = try AutoscaleTrace(parsing: "0,0\n9000000,0")
        let simulation = AutoscaleSimulation(trace: trace, limits: limits(0, 1), service: service)
        #expect(simulation.points.count <= 200_000 && simulation.summary.requestCount == 0)
        #expect(simulation.summary.waitP95 == 0)
    }

    @Test func tokensASecondBecomeSecondsARequest() {
        let service = AutoscaleSimulation.Service(
            tokensPerSecond: 100, tokensPerRequest: 50, slotsPerReplica: 4, startupSeconds: -1)
        #expect(service.secondsPerRequest == 2 && service.startupSeconds == 0)
        let wild = AutoscaleSimulation.Service(
            tokensPerSecond: 0, tokensPerRequest: .infinity, slotsPerReplica: .max, startupSeconds: 1e300)
        #expect(wild.secondsPerRequest == 86_400 && wild.startupSeconds == 86_400)
    }

    @Test func tracesAreReadInEachForm() throws {
        let expected = try AutoscaleTrace(
            kind: .concurrency, rows: [AutoscaleTrace.Row(time: 0, value: 1), AutoscaleTrace.Row(time: 2.5, value: 3)])
        let csv = try AutoscaleTrace(parsing: "\u{FEFF}# load\r\nTime_s, Concurrency\r\n0, 1\r\n\r\n2.5,3")
        let lines = try AutoscaleTrace(
            parsing: #"{"time_s":0,"concurrency":1,"x":2}"# + "\n" + #"{"time_s":2.5,"concurrency":3}"#)
        #expect(csv == expected && lines == expected)
        #expect(expected.duration == 5)
    }

    @Test(
        arguments: [
            ("", nil), ("# nothing", nil), ("time_s,arrivals", nil), ("a,b\n1,2", 1), ("0,1\n0,2", 2), ("0,1\n-1,2", 2),
            ("0,-1", 1), ("0,x", 1), ("0,1,2", 1), ("0,nan", 1), ("inf,1", 1), ("\n\n0,1\n5;6", 4),
            ("{\"time_s\":0}", 1),
            ("{", 1), ("0,1\n{\"time_s\":1,\"concurrency\":2}", 2), ("0,1000000\n1,1e300", 2),
            ("0,1000000\n1,1000000\n2,1000000\n3,1000000\n4,1000000\n5,1000000", nil),
        ] as [(String, Int?)])
    func malformedTracesNameTheLine(text: String, line: Int?) {
        let fault = #expect(throws: TraceFault.self) { _ = try AutoscaleTrace(parsing: text) }
        #expect(fault?.line == line, "\(fault?.description ?? "")")
    }

    @Test(arguments: [(0, 1.0), (2_000_000, 1.0), (10, -1.0), (10, .nan), (10, 1e9)])
    func syntheticTracesHaveBounds(duration: Int, peak: Double) {
        #expect(throws: TraceFault.self) {
            _ = try SyntheticTrace.ramp.trace(duration: duration, peak: peak, seed: 0)
        }
    }

    @Test func seriesGoOutAsCSV() throws {
        let trace = try AutoscaleTrace(parsing: "0,1\n1,0")
        let csv = AutoscaleSimulation(trace: trace, limits: limits(1, 1), service: service).csv
        let lines = csv.split(separator: "\n")
        #expect(lines.first == "time_s,running,queued,ready_replicas,starting_replicas,desired_replicas")
        #expect(lines.dropFirst().first == "0,1,0,1,0,1")
    }
}
