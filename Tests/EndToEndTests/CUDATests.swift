import Foundation
import Testing

/// The program itself on the simulated driver.
@Suite struct CUDATests {
    /// A folder with the simulated driver under the libraries' names.
    private func folder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pbctl-cuda-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let program = URL(fileURLWithPath: try #require(ProgramRun.program))
        let library = program.deletingLastPathComponent().appending(path: "libCUDASimulator.so")
        for name in ["libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libnvrtc.so.13", "libnvidia-ml.so.1"] {
            try FileManager.default.createSymbolicLink(at: folder.appending(path: name), withDestinationURL: library)
        }
        return folder
    }

    private static let model = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/models/qwen2").path

    @Test func theGPUExpectsWhatTheProcessorExpects() throws {
        let folder = try folder()
        let input = Data(#"{"ids": [1, 17, 40, 99, 3]}"#.utf8)
        let arguments = ["engine", "logprobs", "-m", Self.model, "--float32", "--top", "3"]
        let onCPU = try ProgramRun(arguments, input: input)
        let report = folder.appending(path: "report").path
        let onGPU = try ProgramRun(
            arguments + ["--device", "cuda"], input: input,
            environment: ["PBCTL_CUDA_PATH": folder.path, "PBCTL_SIMULATOR_REPORT": report])
        #expect(onGPU.status == 0, "\(onGPU.error)")
        #expect(try ids(onGPU.output) == ids(onCPU.output))
        let counts = try String(contentsOfFile: report, encoding: .utf8)
        #expect(counts.contains("\nlaunches ") && counts.contains("\nproducts "), "\(counts)")
    }

    private func ids(_ output: String) throws -> [[Int]] {
        struct Line: Decodable { let positions: [Position] }
        struct Position: Decodable { let ids: [Int] }
        return try JSONDecoder().decode(Line.self, from: Data(output.utf8)).positions.map(\.ids)
    }

    @Test func doctorNamesTheLibrariesAndTheDevice() throws {
        let run = try ProgramRun(["doctor"], environment: ["PBCTL_CUDA_PATH": try folder().path])
        #expect(run.status == 0 && run.output.contains("ok       cuda:0: Simulated GPU"), "\(run.output)\(run.error)")
    }

    @Test(arguments: [
        ("cuda:1", [String: String](), "cuda:1"), ("cuda", ["PBCTL_SIMULATOR_DEVICES": "0"], "detected"),
        ("cuda", ["PBCTL_SIMULATOR_MEMORY": "33600000"], "MiB are free"),
        ("cuda", ["PBCTL_SIMULATOR_DRIVER": "12000"], "install a newer driver"),
    ])
    func whatStandsInTheWayIsSaidOnOneLine(device: String, environment: [String: String], words: String) throws {
        let folder = try folder().path
        let run = try ProgramRun(
            ["engine", "logprobs", "-m", Self.model, "--device", device], input: Data("{\"ids\": [1]}".utf8),
            environment: environment.merging(["PBCTL_CUDA_PATH": folder]) { $1 })
        #expect(run.status == 1 && run.complainsOnOneLine && run.error.contains(words), "\(run.error)")
    }
}
