import Foundation
import Testing

@testable import ServingCUDA

/// Every kernel through NVIDIA's own compiler, which needs no GPU; scripts/fetch-nvrtc has it.
@Suite(.enabled(if: SimulatedGPU.compilerFolder != nil)) struct KernelCompilationTests {
    /// NVIDIA's compiler beside the simulated rest.
    private func compiler(_ capability: Int) throws -> KernelCompiler {
        let simulated = try SimulatedGPU.folder(SimulatedGPU.names.filter { !$0.hasPrefix("libnvrtc") })
        let libraries = try CUDALibraries(
            search: LibrarySearch(folders: [simulated, try #require(SimulatedGPU.compilerFolder)]))
        return KernelCompiler(libraries, capability: capability, cache: nil)
    }

    @Test func declarationsHaveTheOfficialValues() throws {
        let include = try #require(SimulatedGPU.compilerFolder) + "/../include"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "gcc", "-fsyntax-only", "-Werror=implicit-function-declaration", "-I", include, "-I",
            CUDAFixtures.repositoryPath + "/Sources/Engine/CCUDAHeaders/include",
            CUDAFixtures.repositoryPath + "/Tests/Fixtures/cuda/abi.c",
        ]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test func compileForHopperAlone() throws {
        let compiler = try compiler(90)
        for unit in StepKernels.units(.bf16) + Self.shapes.map({ AttentionKernels.unit($0, element: .bf16) }) {
            let (image, log) = try compiler.compile(
                unit.source.text, fileName: unit.source.rawValue + ".cu",
                options: ["--gpu-architecture=sm_90a", "--std=c++17"] + unit.macroOptions)
            #expect(!image.isEmpty && !log.contains("warning"), "\(log)")
        }
    }

    /// Shapes of models that people run, and odd ones.
    private static let shapes = [
        AttentionShape(headDimension: 64, headsPerKVHead: 3, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 128, headsPerKVHead: 4, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 128, headsPerKVHead: 7, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 128, headsPerKVHead: 32, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 256, headsPerKVHead: 2, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 256, headsPerKVHead: 8, positionsPerBlock: 16, isExact: true),
        AttentionShape(headDimension: 80, headsPerKVHead: 1, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 96, headsPerKVHead: 1, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 112, headsPerKVHead: 8, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 24, headsPerKVHead: 2, positionsPerBlock: 16, isExact: false),
        AttentionShape(headDimension: 16, headsPerKVHead: 2, positionsPerBlock: 16, isExact: true),
    ]

    @Test(arguments: [80, 90], [WeightElement.bf16, .f16, .f32])
    func allCompileWithoutSpills(_ capability: Int, _ element: WeightElement) throws {
        let compiler = try compiler(capability)
        let units =
            StepKernels.units(element) + Self.shapes.map { AttentionKernels.unit($0, element: element) }
        for unit in units {
            let (image, log) = try compiler.compile(unit, extraOptions: ["--ptxas-options=-v"])
            #expect(image.starts(with: [0x7f, 0x45, 0x4c, 0x46]))
            #expect(!log.contains("warning"), "\(log)")
            let spills = log.matches(of: /([0-9]+) bytes spill/).compactMap { Int($0.output.1) }
            #expect(!spills.isEmpty && spills.allSatisfy { $0 == 0 }, "\(unit.macroOptions) \(log)")
            let registers = log.matches(of: /Used ([0-9]+) registers/).compactMap { Int($0.output.1) }
            // Attention on tensor cores holds its sums in registers: three blocks of 128 threads a multiprocessor, two
            // for wide heads.
            let limit = unit.isWide ? 255 : unit.macroOptions.contains("-DTENSOR_CORES=1") ? 168 : 128
            #expect(registers.allSatisfy { $0 <= limit }, "\(unit.macroOptions) \(registers)")
        }
    }
}

extension KernelCompiler.Unit {
    fileprivate var isWide: Bool { macroOptions.contains("-DHEAD_DIM=256") }
}
