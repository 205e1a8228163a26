import ArgumentParser
import ModelHub
import ServingCUDA
import ServingRuntime

/// Which GPU.
struct GPUOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Device: cuda or cuda:N.", valueName: "device"))
    var device = "cuda"

    func validate() throws {
        guard case .cuda = DeviceChoice(device) else {
            throw ValidationError("--device \(device): expected cuda or cuda:N, the number of a GPU")
        }
    }

    /// The device, taken into use.
    func open() throws -> CUDADevice {
        guard case .cuda(let ordinal) = DeviceChoice(device) else { throw CommandFailure("no GPU is chosen") }
        do throws(CUDAError) {
            return try CUDADevice(CUDALibraries(), ordinal: ordinal)
        } catch { throw CommandFailure("\(error)", hint: "'pbctl doctor' shows what was looked for") }
    }

    /// Where compiled kernels are kept.
    static func kernelFolder() throws -> String { try PbctlDirectories().cache + "/kernels" }
}
