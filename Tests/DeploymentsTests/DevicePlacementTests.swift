import Deployments
import ServingJSON
import Testing

@Suite struct DevicePlacementTests {
    private static let gigabyte = 1_000_000_000
    private let mixed = DevicePlacement(gpus: [
        MachineGPU(ordinal: 0, name: "NVIDIA A10G", memoryBytes: 23_800_000_000),
        MachineGPU(ordinal: 1, name: "NVIDIA H100 80GB HBM3", memoryBytes: 85 * gigabyte),
        MachineGPU(ordinal: 2, name: "NVIDIA H100 80GB HBM3", memoryBytes: 85 * gigabyte),
        MachineGPU(ordinal: 3, name: "NVIDIA A100-SXM4-40GB", memoryBytes: 42 * gigabyte),
    ])

    private func config(_ fields: JSONValue = [:]) throws -> DeploymentConfig {
        var fields = try #require(fields.objectValue)
        fields["baseModel"] = "m"
        return try DeploymentConfig(creating: .object(fields))
    }

    @Test func theGPUWithTheFewestReplicasIsNext() throws {
        var counts: [ReplicaDevice: Int] = [:]
        var order: [ReplicaDevice] = []
        for _ in 0..<6 {
            let device = try mixed.device(for: config(), counts)
            counts[device, default: 0] += 1
            order.append(device)
        }
        #expect(order == [.cuda(0), .cuda(1), .cuda(2), .cuda(3), .cuda(0), .cuda(1)])
        counts[.cuda(2)] = 0
        #expect(try mixed.device(for: config(), counts) == .cuda(2))
    }

    @Test func withoutAGPUReplicasRunOnTheProcessor() throws {
        #expect(try DevicePlacement().device(for: config(), [:]) == .cpu)
        #expect(try DevicePlacement(problem: "too old").device(for: config(), [:]) == .cpu)
        #expect(try DevicePlacement().device(for: config(["accelerator": "cpu"]), [:]) == .cpu)
        #expect(try mixed.device(for: config(["accelerator": "CPU"]), [:]) == .cpu)
    }

    @Test(arguments: [
        ("gpu", [0, 1, 2, 3]), ("cuda", [0, 1, 2, 3]), ("a10_24gb_100", [0]), ("A10G", [0]), ("h100_80gb_100", [1, 2]),
        ("H100", [1, 2]), ("NVIDIA H100", [1, 2]), ("a100_40gb_100", [3]), ("a100", [3]),
    ])
    func theKindThatIsAskedForIsTaken(kind: String, ordinals: [Int]) throws {
        for fields: JSONValue in [
            ["accelerator": .string(kind)], ["computeSpec": ["requests": ["inference": ["sku": .string(kind)]]]],
        ] {
            let config = try config(fields)
            var counts: [ReplicaDevice: Int] = [:]
            for _ in ordinals { counts[try mixed.device(for: config, counts), default: 0] += 1 }
            #expect(counts == Dictionary(uniqueKeysWithValues: ordinals.map { (.cuda($0), 1) }), "\(kind)")
            #expect(mixed.kind(config) == kind)
        }
    }

    @Test(arguments: ["a100_80gb_100", "h200", "l4_24gb_100", "a1", "mi300x", "h100_141gb_100"])
    func aKindThatIsNotThereIsToldWithWhatIs(kind: String) throws {
        let fault = try #require(try mixed.fault(config(["accelerator": .string(kind)])))
        #expect(fault.field == "accelerator" && fault.value == .string(kind))
        #expect(fault.description.contains("NVIDIA A100-SXM4-40GB (42 GB), NVIDIA A10G (24 GB)"), "\(fault)")
        let none = try #require(try DevicePlacement().fault(config(["accelerator": .string(kind)])))
        #expect(none.description.contains("this machine has no GPU; leave it out"), "\(none)")
        let broken = DevicePlacement(problem: "cuBLAS is not installed")
        let problem = try #require(try broken.fault(config(["accelerator": .string(kind)])))
        #expect(problem.description.contains("can't be used: cuBLAS is not installed"), "\(problem)")
    }

    @Test func theDeploymentsOwnArgumentsGoBeforeAll() throws {
        let own = try config(["accelerator": "h200", "customArgs": ["--device", "cuda:7"]])
        #expect(try mixed.device(for: own, [:]) == .cuda(7))
        #expect(mixed.fault(own) == nil && mixed.kind(own) == "cuda")
        #expect(own.notes().map(\.description) == ["accelerator: has no effect: customArgs name the device"])
        let template = ReplicaTemplate(config: own, restartCount: 0)
        let arguments = template.engineArguments(on: .cuda(7))
        #expect(arguments.suffix(2) == ["--device", "cuda:7"] && arguments.count { $0 == "--device" } == 1)
        #expect(ReplicaDevice(arguments: arguments) == .cuda(7))
    }

    @Test func aChoiceThatIsLeftOpenIsTheServers() throws {
        let config = try config(["customArgs": ["--device", "auto", "--threads", "2"]])
        let device = try mixed.device(for: config, [.cuda(0): 1])
        #expect(device == .cuda(1))
        let arguments = ReplicaTemplate(config: config, restartCount: 0).engineArguments(on: device)
        #expect(arguments == ["engine", "serve", "--model", "m", "--device", "cuda:1", "--threads", "2"])
    }

    @Test func argumentsWithoutADeviceTellNone() {
        #expect(ReplicaDevice(arguments: ["engine", "serve", "--model", "m"]) == nil)
        #expect(ReplicaDevice(arguments: ["--device"]) == nil)
        #expect(ReplicaDevice(arguments: ["--device", "auto"]) == nil)
        #expect(ReplicaDevice(arguments: ["--device", "cuda:-1"]) == nil)
        #expect(ReplicaDevice(arguments: ["--device", "cuda"]) == .cuda(0))
    }
}
