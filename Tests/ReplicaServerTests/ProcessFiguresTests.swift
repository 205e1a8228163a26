import HTTPServing
import Testing

@testable import ReplicaServer

@Suite("Figures of the process") struct ProcessFiguresTests {
    @Test("What the process used is told by Prometheus' names and is plausible")
    func plausible() throws {
        let registry = MetricsRegistry(ProcessFigures.families)
        ProcessFigures.update(registry)
        var values: [Substring: Double] = [:]
        for line in registry.text().split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            values[parts[0]] = Double(parts[1])
        }
        #expect(values["process_cpu_seconds_total", default: 0] > 0)
        #expect(values["process_resident_memory_bytes", default: 0] > 1e6)
        let age = Double(UnixTime.now()) - values["process_start_time_seconds", default: 0]
        #expect((-5..<86400).contains(age))
    }
}
