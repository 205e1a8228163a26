import Deployments
import Testing

@testable import Gateway

@Suite("The choice of a replica") struct ReplicaChooserTests {
    private func candidates(_ loads: [String: Int]) -> [ReplicaChooser.Candidate] {
        loads.sorted { $0.key < $1.key }.map { name, tokens in
            ReplicaChooser.Candidate(id: ReplicaID(name), requestCount: tokens > 0 ? 1 : 0, tokenCount: tokens)
        }
    }

    private func keys(_ prompt: String, adapter: String? = nil) -> AffinityKeys {
        Array(prompt.utf8).withUnsafeBytes { AffinityKeys(adapter: adapter, prompt: $0) }
    }

    private func choose(_ bench: Bench, _ loads: [String: Int], _ keys: AffinityKeys) -> String? {
        bench.chooser.choose(among: candidates(loads), for: keys)?.text
    }

    private final class Bench {
        var chooser: ReplicaChooser

        init(_ chooser: ReplicaChooser = ReplicaChooser()) { self.chooser = chooser }
    }

    @Test("The least busy replica is taken, in turns where they are alike")
    func leastBusy() {
        let bench = Bench()
        #expect(choose(bench, [:], AffinityKeys()) == nil)
        #expect(choose(bench, ["a": 9, "b": 5, "c": 7], AffinityKeys()) == "b")
        #expect(choose(bench, ["a": 0, "b": 0, "c": 0], AffinityKeys()) == "a")
        #expect(choose(bench, ["a": 0, "b": 0, "c": 0], AffinityKeys()) == "c")
        #expect(choose(bench, ["a": 0, "b": 0, "c": 0], AffinityKeys()) == "b")
    }

    @Test("A prompt goes where its beginning is, unless that replica is much busier")
    func prefix() {
        let bench = Bench(ReplicaChooser(margin: 100))
        let system = String(repeating: "s", count: 512)
        #expect(choose(bench, ["a": 0, "b": 10], keys(system + "one")) == "a")
        #expect(choose(bench, ["a": 100, "b": 0], keys(system + "two")) == "a")
        #expect(choose(bench, ["a": 101, "b": 0], keys(system + "three")) == "b")
        // The last one that served it has it now.
        #expect(choose(bench, ["a": 0, "b": 50], keys(system + "four")) == "b")
        #expect(choose(bench, ["a": 0], keys(system)) == "a")
    }

    @Test("The longest common beginning counts")
    func longest() {
        let bench = Bench()
        let (first, second) = (String(repeating: "x", count: 256), String(repeating: "y", count: 256))
        #expect(choose(bench, ["a": 0, "b": 1], keys(first + second)) == "a")
        #expect(choose(bench, ["a": 9000, "b": 1], keys(first + String(repeating: "z", count: 256))) == "b")
        #expect(choose(bench, ["a": 5, "b": 1], keys(first + second + "and more")) == "a")
    }

    @Test("An adapter goes where it is loaded, and shares no beginnings with others")
    func adapter() {
        let bench = Bench()
        let prompt = String(repeating: "p", count: 300)
        #expect(choose(bench, ["a": 0, "b": 1], keys("hi", adapter: "x")) == "a")
        #expect(choose(bench, ["a": 9, "b": 1], keys("another", adapter: "x")) == "a")
        #expect(choose(bench, ["a": 9, "b": 1], keys(prompt, adapter: "y")) == "b")
        #expect(choose(bench, ["a": 9, "b": 20], keys(prompt)) == "a")
        #expect(keys("ab", adapter: nil).prefixes.isEmpty && keys(prompt).prefixes.count == 1)
        #expect(keys(String(repeating: "q", count: 5000)).prefixes.count == 4)
    }

    @Test("Memory is bounded, and the newest is in it")
    func bounded() {
        var memory = RecentMemory(size: 10)
        for key in 0..<1000 { memory[UInt64(key)] = ReplicaID("r\(key)") }
        #expect(memory.count <= 20)
        for key in 990..<1000 { #expect(memory[UInt64(key)]?.text == "r\(key)") }
        #expect(memory[0] == nil)
    }

    @Test("Even loads near the largest number do no harm")
    func hugeLoads() {
        let bench = Bench()
        let all = [ReplicaChooser.Candidate(id: ReplicaID("a"), requestCount: 1, tokenCount: .max)]
        let chosen = bench.chooser.choose(among: all, for: AffinityKeys())
        #expect(chosen == ReplicaID("a"))
    }
}
