import Foundation
import Testing

/// The simulated driver that was built beside the program, for programs to find under the libraries' names.
enum SimulatedGPU {
    static let names = ["libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libnvrtc.so.13", "libnvidia-ml.so.1"]

    /// A new folder with links to some of the libraries.
    static func folder(_ names: [String] = names) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pbctl-cuda-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let program = URL(fileURLWithPath: try #require(ProgramRun.program))
        let library = program.deletingLastPathComponent().appending(path: "libCUDASimulator.so")
        for name in names {
            try FileManager.default.createSymbolicLink(at: folder.appending(path: name), withDestinationURL: library)
        }
        return folder.path
    }

    /// An environment in which programs find the libraries of a folder, and all of its devices.
    static func environment(_ folder: String, _ more: [String: String] = [:]) -> [String: String] {
        ["PBCTL_CUDA_PATH": folder, "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"].merging(more) { $1 }
    }
}
