import Foundation
import Testing

/// The program itself on the simulated driver.
@Suite struct CUDATests {
    private static let model = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/models/qwen2").path
    private static let input = Data(#"{"ids": [1, 17, 40, 99, 3]}"#.utf8)

    /// Log-probabilities of the tiny model, in an environment.
    private func logprobs(_ arguments: [String] = [], _ environment: [String: String] = [:]) throws -> ProgramRun {
        try ProgramRun(
            ["engine", "logprobs", "-m", Self.model, "--float32", "--top", "3"] + arguments, input: Self.input,
            environment: environment)
    }

    private func ids(_ output: String) throws -> [[Int]] {
        struct Line: Decodable { let positions: [Position] }
        struct Position: Decodable { let ids: [Int] }
        return try JSONDecoder().decode(Line.self, from: Data(output.utf8)).positions.map(\.ids)
    }

    @Test(arguments: [["--device", "cuda"], []]) func theGPUExpectsWhatTheProcessorExpects(choice: [String]) throws {
        let folder = try SimulatedGPU.folder()
        let onCPU = try logprobs()
        let report = folder + "/report"
        let onGPU = try logprobs(
            choice, SimulatedGPU.environment(folder, ["PBCTL_SIMULATOR_REPORT": report]))
        #expect(onGPU.status == 0 && onGPU.error.isEmpty, "\(onGPU.error)")
        #expect(try ids(onGPU.output) == ids(onCPU.output))
        let counts = try String(contentsOfFile: report, encoding: .utf8)
        #expect(counts.contains("\nlaunches ") && counts.contains("\nproducts "), "\(counts)")
    }

    @Test func doctorNamesTheLibrariesAndTheDevices() throws {
        let settings = ["PBCTL_SIMULATOR_DEVICES": "2", "PBCTL_SIMULATOR_UTILIZATION": "30,70"]
        let run = try ProgramRun(["doctor"], environment: SimulatedGPU.environment(SimulatedGPU.folder(), settings))
        let lines = run.output.split(separator: "\n")
        #expect(run.status == 0 && run.output.contains("ok       NVML: "), "\(run.output)\(run.error)")
        for (device, share) in [("cuda:0", 30), ("cuda:1", 70)] {
            let line = lines.first { $0.hasPrefix("ok       \(device): Simulated GPU") }
            #expect(line?.contains(", \(share) % busy, ") == true && line?.hasSuffix(" in use") == true)
        }
        let without = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != "libnvidia-ml.so.1" })
        try Data("no library".utf8).write(to: URL(fileURLWithPath: without + "/libnvidia-ml.so.1"))
        let other = try ProgramRun(["doctor"], environment: SimulatedGPU.environment(without))
        #expect(other.status == 0 && other.output.contains("optional NVML: "), "\(other.output)\(other.error)")
        #expect(!other.output.contains("busy"))
    }

    /// What stands in the way of a GPU, and words that tell it.
    private static let obstacles: [([String: String], String)] = [
        (["PBCTL_SIMULATOR_DEVICES": "0"], "finds no GPU"),
        (["PBCTL_SIMULATOR_MEMORY": "33600000"], "MiB are free"),
        (["PBCTL_SIMULATOR_DRIVER": "12000"], "install a newer driver"),
        (["PBCTL_SIMULATOR_DRIVER": "11080"], "install driver 525 or later"),
        (["PBCTL_SIMULATOR_FAIL": "cuInit:1:803"], "does nvidia-smi work?"),
        (["PBCTL_SIMULATOR_CAPABILITY": "75"], "8.0 (Ampere) or later is needed"),
    ]

    @Test(arguments: obstacles + [([:], "cuda:9")])
    func whatStandsInTheWayIsSaidOnOneLine(environment: [String: String], words: String) throws {
        let device = words == "cuda:9" ? words : "cuda"
        let run = try logprobs(
            ["--device", device], SimulatedGPU.environment(SimulatedGPU.folder(), environment))
        #expect(run.status == 1 && run.complainsOnOneLine && run.error.contains(words), "\(run.error)")
    }

    @Test(arguments: obstacles)
    func whereAGPUCannotBeUsedTheProcessorComputesAndSaysWhy(environment: [String: String], words: String) throws {
        let run = try logprobs([], SimulatedGPU.environment(SimulatedGPU.folder(), environment))
        let expected = try logprobs().output
        #expect(run.status == 0 && run.output == expected)
        #expect(run.complainsOnOneLine && run.error.hasPrefix("pbctl: no GPU is used: "), "\(run.error)")
        #expect(run.error.contains(words) && run.error.contains("pbctl doctor"), "\(run.error)")
    }

    @Test(arguments: ["libcublas.so.13", "libcublasLt.so.13", "libnvrtc.so.13"])
    func aLibraryThatIsMissingOrLiesIsNoGPU(name: String) throws {
        let folder = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != name })
        // Nothing of that name: others of the machine may be found, or none.
        try FileManager.default.createSymbolicLink(
            atPath: folder + "/" + name, withDestinationPath: "/lib/x86_64-linux-gnu/libm.so.6")
        let run = try logprobs([], SimulatedGPU.environment(folder))
        #expect(run.status == 0 && run.complainsOnOneLine && run.error.contains("lacks "), "\(run.error)")
        let forced = try logprobs(["--device", "cuda"], SimulatedGPU.environment(folder))
        #expect(forced.status == 1 && forced.complainsOnOneLine && forced.error.contains("lacks "), "\(forced.error)")
    }

    @Test func whereNoDriverIsInstalledNothingIsSaidOfIt() throws {
        let run = try logprobs([], ["PBCTL_CUDA_PATH": SimulatedGPU.folder([])])
        #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    }

    @Test(arguments: ["", "-1"]) func whoHidesTheDevicesWantsTheProcessor(shown: String) throws {
        // What is opened after the driver is broken: it must not be looked at.
        let folder = try SimulatedGPU.folder(["libcuda.so.1"])
        for name in ["libcublasLt.so.13", "libcublas.so.13", "libnvrtc.so.13"] {
            try Data("no library".utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
        }
        let run = try logprobs([], SimulatedGPU.environment(folder, ["CUDA_VISIBLE_DEVICES": shown]))
        #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    }
}
