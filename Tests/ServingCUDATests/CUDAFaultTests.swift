import CCUDAHeaders
import Foundation
import ServingModels
import ServingTensors
import Testing

@testable import ServingCUDA

extension CUDABackendTests {
    /// What is missing, what lies and what breaks.
    @Suite struct Faults {
        private func error<Result>(_ body: () throws -> Result) -> CUDAError? {
            do {
                _ = try body()
                return nil
            } catch { return error as? CUDAError }
        }

        @Test(arguments: SimulatedGPU.names.filter { $0 != "libnvidia-ml.so.1" })
        func missingLibraryIsNamed(_ name: String) throws {
            let folder = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != name })
            let found = error { try SimulatedGPU.libraries(in: folder) }
            #expect(found?.code == .libraryMissing && found?.description.contains("is not installed (") == true)
        }

        @Test func libraryThatIsAnotherIsNamedWithWhatItLacks() throws {
            let folder = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != "libcublas.so.13" })
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/libcublas.so.13", withDestinationPath: "/lib/x86_64-linux-gnu/libm.so.6")
            let found = error { try SimulatedGPU.libraries(in: folder) }
            #expect(found?.code == .libraryUnusable && found?.description.contains("cublasCreate_v2") == true)
        }

        @Test func fileThatIsNoLibraryIsNamed() throws {
            let folder = try SimulatedGPU.folder(SimulatedGPU.names.filter { $0 != "libcuda.so.1" })
            try Data("nothing".utf8).write(to: URL(fileURLWithPath: folder + "/libcuda.so.1"))
            let found = error { try SimulatedGPU.libraries(in: folder) }
            #expect(found?.code == .libraryUnusable && found?.description.contains(folder) == true)
        }

        @Test(arguments: ["11080", "12040"]) func olderDriverIsTold(_ version: String) throws {
            try SimulatedGPU.with("PBCTL_SIMULATOR_DRIVER", version) {
                let found = error { try SimulatedGPU.libraries(in: SimulatedGPU.folder()) }
                #expect(found?.code == .libraryUnusable && found?.description.contains("driver knows CUDA") == true)
            }
        }

        @Test func driverThatDoesNotStartIsTold() throws {
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "cuInit:1:803") {
                let found = error { try SimulatedGPU.libraries(in: SimulatedGPU.folder()) }
                #expect(found?.code == .libraryUnusable && found?.description.contains("can't be started") == true)
            }
        }

        @Test func deviceThatIsNotThereIsTold() throws {
            let libraries = try SimulatedGPU.libraries(in: SimulatedGPU.folder())
            let found = error { try CUDADevice(libraries, ordinal: 3) }
            #expect(found?.code == .noDevice && found?.description.contains("cuda:3") == true)
            try SimulatedGPU.with("PBCTL_SIMULATOR_DEVICES", "0") {
                #expect(error { try CUDADevice(libraries, ordinal: 0) }?.code == .noDevice)
            }
            try SimulatedGPU.with("PBCTL_SIMULATOR_CAPABILITY", "75") {
                let old = error { try CUDADevice(libraries, ordinal: 0) }
                #expect(old?.code == .noDevice && old?.description.contains("7.5") == true)
            }
        }

        @Test func devicesAreToldOfAndTheFirstThatIsNewEnoughIsUsed() throws {
            try SimulatedGPU.with("PBCTL_SIMULATOR_DEVICES", "3") {
                try SimulatedGPU.with("PBCTL_SIMULATOR_CAPABILITY", "75,86,90") {
                    let driver = try CUDADriver(search: LibrarySearch(folders: [SimulatedGPU.folder()]))
                    #expect(try driver.devices().map(\.capability) == [75, 86, 90])
                    #expect(try driver.firstUsableDevice().ordinal == 1)
                    #expect(try driver.device(1).identifier == "GPU-02020202-0202-0202-0202-020202020202")
                }
                try SimulatedGPU.with("PBCTL_SIMULATOR_CAPABILITY", "75") {
                    let driver = try CUDADriver(search: LibrarySearch(folders: [SimulatedGPU.folder()]))
                    let found = error { try driver.firstUsableDevice() }
                    #expect(found?.code == .noDevice && found?.description.contains("7.5") == true)
                }
            }
        }

        @Test func withoutADeviceNothingButTheDriverIsOpened() throws {
            let folder = try SimulatedGPU.folder(["libcuda.so.1"])
            try SimulatedGPU.with("PBCTL_SIMULATOR_DEVICES", "0") {
                #expect(error { try SimulatedGPU.libraries(in: folder) }?.code == .noDevice)
            }
        }

        @Test func tooLittleMemoryIsToldWithItsNumbers() throws {
            let backend = try SimulatedGPU.backend(.bf16)
            let free = try SimulatedGPU.device().freeBytes()
            let layout = KVCacheLayout(
                layerCount: 8, blockCount: free >> 10, positionsPerBlock: 16, headCount: 8, headDimension: 64,
                element: .f16)
            let found = error { try backend.makeKVCache(layout) }
            #expect(found?.code == .outOfMemory)
            #expect(found?.description.contains("\(free >> 20) of 1024 MiB are free") == true, "\(found as Any)")
        }

        @Test func launchThatFailsFailsTheStepAndTheNextWorks() throws {
            let path = try #require(CUDAFixtures.models.first)
            let expected = try CUDAFixtures.Expectation(path)
            let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "cuLaunchKernel:3:214") {
                let found = error { try model.logits(of: expected.ids, at: expected.positions) }
                #expect(found?.code == .deviceFailed && found?.description.contains("ECC") == true)
            }
            let again = try model.logits(of: expected.ids, at: expected.positions)
            #expect(largestDifference(again, expected.logits) <= 1e-3)
        }

        @Test func stepThatCannotBeRecordedIsLaunched() throws {
            let path = try #require(CUDAFixtures.models.first)
            let expected = try CUDAFixtures.Expectation(path)
            let count = expected.ids.count
            let chunks = [count - 6] + [Int](repeating: 1, count: 6)
            let whole = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
                .logits(of: expected.ids)
            // Each failure is that of one recording: its step must be as if there had been none.
            for symbol in ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"] {
                let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
                let found = try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", symbol + ":1:2") {
                    try model.logits(of: expected.ids, chunks: chunks)
                }
                #expect(found == whole, "\(symbol)")
            }
        }

        @Test func inputsThatFindNoMemoryFailTheStep() throws {
            let path = try #require(CUDAFixtures.models.first)
            let expected = try CUDAFixtures.Expectation(path)
            let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
            for count in 1...2 {
                try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "cuMemHostAlloc:\(count):2") {
                    let found = error { try model.logits(of: expected.ids) }
                    #expect(found?.code == .outOfMemory)
                }
            }
            let again = try model.logits(of: expected.ids, at: expected.positions)
            #expect(largestDifference(again, expected.logits) <= 1e-3)
        }

        @Test(arguments: ["reverse", "7"]) func orderOfBlocksAndWarpsChangesNothing(_ order: String) throws {
            let path = try #require(CUDAFixtures.models.last)
            let expected = try CUDAFixtures.Expectation(path)
            let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.bf16), isExact: false)
            let forward = try model.logits(of: expected.ids)
            let other = try SimulatedGPU.with("PBCTL_SIMULATOR_ORDER", order) { try model.logits(of: expected.ids) }
            #expect(forward == other)
        }

        @Test func tokenOutsideTheVocabularyIsRefused() throws {
            let path = try #require(CUDAFixtures.models.first)
            let model = try SteppedModel(CUDAFixtures.model(path), on: SimulatedGPU.backend(.f32), isExact: true)
            #expect(error { try model.logits(of: [1, 1_000_000]) }?.code == .invalid)
        }
    }

    /// Compiled kernels and where they are kept.
    @Suite struct Compiling {
        private func compiler(_ folder: String?) throws -> KernelCompiler {
            KernelCompiler(
                try SimulatedGPU.device().libraries, capability: 90, cache: folder.map(KernelCache.init(folder:)))
        }
        private let unit = KernelCompiler.Unit(source: .rows, macros: [(name: "ELEMENT", value: "bf16")])

        @Test func whatWasCompiledIsTakenFromTheCache() throws {
            let compiler = try compiler(NSTemporaryDirectory() + "pbctl-kernels-" + UUID().uuidString)
            let first = try compiler.images(of: [unit])
            let second = try compiler.images(of: [unit])
            #expect(first.map(\.isCached) == [false] && second.map(\.isCached) == [true])
            #expect(first[0].image == second[0].image)
        }

        @Test(arguments: [0, 20, 60, -1]) func damagedEntryIsCompiledAnew(_ place: Int) throws {
            let folder = NSTemporaryDirectory() + "pbctl-kernels-" + UUID().uuidString
            let compiler = try compiler(folder)
            let image = try compiler.images(of: [unit])[0].image
            let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first)
            let file = URL(fileURLWithPath: folder + "/" + name)
            var bytes = [UInt8](try Data(contentsOf: file))
            if place < 0 { bytes.removeLast(100) } else { bytes[place] ^= 1 }
            try Data(bytes).write(to: file)
            let again = try compiler.images(of: [unit])[0]
            #expect(!again.isCached && again.image.count == image.count)
            #expect(try compiler.images(of: [unit])[0].isCached)
        }

        @Test func cacheThatCannotBeWrittenIsDoneWithout() throws {
            let images = try compiler("/dev/null/kernels").images(of: [unit])
            #expect(!images[0].image.isEmpty && !images[0].isCached)
        }

        @Test func kernelThatDoesNotCompileShowsTheLog() throws {
            let broken = KernelCompiler.Unit(source: .rows, macros: [(name: "ELEMENT", value: "no_such_type")])
            let error = #expect(throws: CUDAError.self) { try compiler(nil).images(of: [broken]) }
            #expect(error?.code == .compilationFailed && error?.description.contains("no_such_type") == true)
        }

        @Test func twoAtOnceGiveWholeEntries() throws {
            let folder = NSTemporaryDirectory() + "pbctl-kernels-" + UUID().uuidString
            let compiler = try compiler(folder)
            let both = try compiler.images(of: [unit, unit])
            #expect(both.count == 2 && both.allSatisfy { !$0.image.isEmpty })
            #expect(try compiler.images(of: [unit])[0].isCached)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
        }

        @Test func deviceNewerThanTheCompilerGetsPortableCode() throws {
            let libraries = try SimulatedGPU.device().libraries
            #expect(KernelCompiler(libraries, capability: 120, cache: nil).architecture == "compute_90")
            #expect(KernelCompiler(libraries, capability: 80, cache: nil).architecture == "sm_80")
        }
    }
}
