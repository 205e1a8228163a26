import Glibc
import ServingCUDA
import ServingModels
import Synchronization

extension LoadedRunner {
    /// Loads weights onto the first GPU that can be used, else into this machine's memory.
    ///
    /// Where no driver is installed that is all there is to it. A driver with which nothing can be done, or a GPU
    /// without room for the model, is told to `options.warn` once, and the processor computes.
    static func onWhatThereIs(
        _ description: ModelDescription, _ options: LocalModel.Options
    ) throws -> sending LoadedRunner {
        var options = options
        if let tell = options.progress {
            let progress = RisingProgress(tell)
            options.progress = { progress.advance(to: $0) }
        }
        do {
            guard let device = try firstGPU() else { return try onCPU(description, options) }
            return try onGPU(device.ordinal, description, options)
        } catch let error as CUDAError {
            options.warn?("no GPU is used: \(error.description); the processor computes")
        } catch let error as RuntimeError where error.code == .outOfMemory {
            options.warn?("no GPU is used: \(error.message); the processor computes")
        }
        return try onCPU(description, options)
    }

    /// Nil where there is no driver, and where its user hides all devices from programs.
    private static func firstGPU() throws(CUDAError) -> CUDADriver.Device? {
        let driver: CUDADriver
        do throws(CUDAError) {
            driver = try CUDADriver()
        } catch {
            if error.code == .libraryMissing || error.code == .noDevice && hidesDevices { return nil }
            throw error
        }
        return try driver.firstUsableDevice()
    }

    private static var hidesDevices: Bool {
        guard let shown = getenv("CUDA_VISIBLE_DEVICES") else { return false }
        return ["", "-1"].contains(String(cString: shown))
    }
}

/// Keeps to the promise that what was told never falls, also where a load starts anew on another device.
private final class RisingProgress: Sendable {
    private let tell: @Sendable (Double) -> Void
    private let told = Mutex(0.0)

    init(_ tell: @escaping @Sendable (Double) -> Void) { self.tell = tell }

    func advance(to share: Double) {
        let isNews = told.withLock { told in
            guard share > told else { return false }
            told = share
            return true
        }
        if isNews { tell(share) }
    }
}
