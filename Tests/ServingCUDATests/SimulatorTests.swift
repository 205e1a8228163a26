import CCUDAHeaders
import Foundation
import Testing

@testable import ServingCUDA

extension CUDABackendTests {
    /// That the simulated device sees what would go wrong on a real one: without it the other tests show little.
    @Suite struct Simulator {
        /// Runs a kernel of one pointer and one int over 64 threads; what the device says.
        private func run(
            _ body: String, on memory: DeviceMemory, value: Int = 0, sharedBytes: Int = 0
        ) throws -> CUDAError? {
            let device = try SimulatedGPU.device()
            let source = """
                #include "device.cuh"
                extern "C" __global__ void probe(float *memory, int value) { \(body) }
                PBCTL_EXPORT(probe)
                """
            let compiler = KernelCompiler(device.libraries, capability: 90, cache: nil)
            let image = try compiler.compile(source, fileName: "probe.cu", options: ["--gpu-architecture=sm_90"]).image
            try device.activate()
            let driver = device.libraries.driver
            var (module, function) = (cuda_module_ref?.none, cuda_function_ref?.none)
            try image.withUnsafeBytes { bytes in
                try driver.check(driver.module_load(&module, try #require(bytes.baseAddress)), "loading")
            }
            try driver.check(driver.module_get_function(&function, try #require(module), "probe"), "finding")
            let kernel = Kernel(name: "probe", function: try #require(function), device: device)
            do throws(CUDAError) {
                try kernel.launch(
                    .init(x: 1), threads: 64, sharedBytes: sharedBytes, .address(memory.address), .int(value))
                try device.synchronize()
                return nil
            } catch { return error }
        }

        private func memory(_ floats: Int) throws -> DeviceMemory {
            try DeviceMemory(SimulatedGPU.device(), byteCount: floats * 4, purpose: "a test")
        }

        private func floats(_ memory: DeviceMemory, _ count: Int) throws -> [Float] {
            let device = try SimulatedGPU.device()
            var values = [Float](repeating: 0, count: count)
            try device.libraries.driver.check(
                device.libraries.driver.copy_to_host(&values, memory.address, count * 4, device.stream), "copying")
            try device.synchronize()
            return values
        }

        @Test func threadsMeetAtBarriersAndExchangeInWarps() throws {
            let memory = try memory(64)
            let failed = try run(
                "__shared__ float all[64]; all[threadIdx.x] = threadIdx.x; __syncthreads();"
                    + "memory[threadIdx.x] = warp_sum(all[63 - threadIdx.x]);", on: memory)
            #expect(failed == nil)
            #expect(try floats(memory, 64) == (0..<64).map { $0 < 32 ? 1520 : 496 })
        }

        @Test(arguments: [
            ("memory[threadIdx.x + 1] = 0;", "written behind the end"),
            ("memory[threadIdx.x + 100000] = 0;", "written far behind the end"),
            ("if (threadIdx.x < 40) __syncthreads();", "barrier that some pass by"),
            ("if (threadIdx.x < 10) memory[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);", "half a warp exchanges"),
            ("DYNAMIC_SHARED(float, shared); shared[threadIdx.x] = 1; memory[0] = shared[0];", "shared memory"),
        ])
        func misuseFailsTheDevice(_ body: String, _ what: String) throws {
            // 192 bytes: the rest to 256 is slack that nobody may write.
            let memory = try memory(64 - 16 * (body.contains("+ 1]") ? 1 : 0))
            try SimulatedGPU.with("PBCTL_SIMULATOR_ORDER", "forward") {
                let failed = try run(body, on: memory, sharedBytes: 16)
                #expect(failed?.code == .deviceFailed, "\(what): \(failed as Any)")
                // Like a real one, it stays failed.
                #expect(throws: CUDAError.self) { try SimulatedGPU.device().synchronize() }
            }
        }

        @Test func whatWasFreedIsOutOfReach() throws {
            let target = try memory(64)
            let freed = Int(try memory(64).address)
            try SimulatedGPU.with("PBCTL_SIMULATOR_ORDER", "forward") {
                let pointer = "(float *)(((unsigned long long)\(freed >> 32)u << 32) | \(freed & 0xffff_ffff)u)"
                let failed = try run("memory[threadIdx.x] = *\(pointer);", on: target)
                #expect(failed?.code == .deviceFailed)
            }
        }

        @Test func whatWasNeverWrittenIsNotANumber() throws {
            let memory = try memory(64)
            #expect(
                try run(
                    "__shared__ float all[64]; if (value) all[threadIdx.x] = 1; memory[threadIdx.x] = all[threadIdx.x];",
                    on: memory) == nil)
            #expect(try floats(memory, 64).allSatisfy(\.isNaN))
            #expect(try floats(try self.memory(8), 8).allSatisfy(\.isNaN))
        }

        @Test func resultsAreNotThereBeforeTheyAreWaitedFor() throws {
            let device = try SimulatedGPU.device()
            let memory = try memory(4)
            let driver = device.libraries.driver
            let host = try PinnedMemory(device, byteCount: 16, purpose: "a test")
            let values = host.base.assumingMemoryBound(to: Float.self)
            for index in 0..<4 { values[index] = Float(index) }
            try driver.check(driver.copy_to_device(memory.address, host.base, 16, device.stream), "copying")
            // The device has not read it yet.
            values[0] = 9
            let back = try PinnedMemory(device, byteCount: 16, purpose: "a test")
            let results = back.base.assumingMemoryBound(to: Float.self)
            try driver.check(driver.copy_to_host(back.base, memory.address, 16, device.stream), "copying")
            #expect(results[1].isNaN)
            try device.synchronize()
            #expect((0..<4).map { results[$0] } == [9, 1, 2, 3])
        }
    }
}
