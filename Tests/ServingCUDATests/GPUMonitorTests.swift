import Foundation
import Testing

@testable import ServingCUDA

extension CUDABackendTests {
    /// How busy GPUs are, as NVML tells.
    @Suite struct Monitoring {
        private func devices(_ folder: String) throws -> [CUDADriver.Device] {
            try CUDADriver(search: LibrarySearch(folders: [folder])).devices()
        }

        private func monitor(_ device: CUDADriver.Device, _ folder: String) throws -> GPUMonitor {
            try GPUMonitor(device, search: LibrarySearch(folders: [folder]))
        }

        private func with<Result>(_ settings: [String: String], _ body: () throws -> Result) throws -> Result {
            guard let (name, value) = settings.first else { return try body() }
            let rest = settings.filter { $0.key != name }
            return try SimulatedGPU.with(name, value) { try with(rest, body) }
        }

        @Test func theDeviceIsFoundByItsIdentifierWhateverItsNumber() throws {
            let folder = try SimulatedGPU.folder()
            let settings = [
                "PBCTL_SIMULATOR_DEVICES": "3", "PBCTL_SIMULATOR_UTILIZATION": "10,40,80",
                "CUDA_VISIBLE_DEVICES": "2,0",
            ]
            try with(settings) {
                let shares = try devices(folder).map { try monitor($0, folder).reading().utilization }
                #expect(shares == [0.8, 0.1])
            }
        }

        @Test func memoryIsToldWithWhatIsInUse() throws {
            let folder = try SimulatedGPU.folder()
            let device = try #require(try devices(folder).first)
            let reading = try monitor(device, folder).reading()
            let used = try #require(reading.usedBytes)
            #expect(reading.totalBytes == 1 << 30 && (0...(1 << 30)).contains(used))
        }

        /// 3 is NVML_ERROR_NOT_SUPPORTED.
        @Test func whatAGPUDoesNotTellIsLeftOut() throws {
            let folder = try SimulatedGPU.folder()
            let device = try #require(try devices(folder).first)
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "nvmlDeviceGetUtilizationRates:1:3") {
                let reading = try monitor(device, folder).reading()
                #expect(reading.utilization == nil && reading.totalBytes == 1 << 30)
            }
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", "nvmlDeviceGetMemoryInfo:1:3") {
                let reading = try monitor(device, folder).reading()
                #expect(reading.utilization == 0.5 && reading.usedBytes == nil && reading.totalBytes == nil)
            }
        }

        @Test(arguments: [
            ("nvmlInit_v2:1:9", CUDAError.Code.libraryUnusable, "can't be started"),
            ("nvmlDeviceGetHandleByUUID:1:6", .noDevice, "does not know cuda:0, GPU-01010101-"),
        ])
        func libraryThatFailsIsTold(failure: String, code: CUDAError.Code, words: String) throws {
            let folder = try SimulatedGPU.folder()
            let device = try #require(try devices(folder).first)
            try SimulatedGPU.with("PBCTL_SIMULATOR_FAIL", failure) {
                let error = #expect(throws: CUDAError.self) { try monitor(device, folder) }
                #expect(error?.code == code && error?.description.contains(words) == true)
            }
        }

        @Test func missingLibraryIsNamed() throws {
            let folder = try SimulatedGPU.folder(["libcuda.so.1"])
            let device = try #require(try devices(folder).first)
            let error = #expect(throws: CUDAError.self) { try monitor(device, folder) }
            #expect(error?.code == .libraryMissing && error?.description.contains("libnvidia-ml.so.1") == true)
        }
    }
}
