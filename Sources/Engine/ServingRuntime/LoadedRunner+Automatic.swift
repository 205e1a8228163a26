import ServingCUDA
import ServingModels
import Synchronization

extension LoadedRunner {
    /// Loads weights onto the first GPU that can be used, else into this machine's memory.
    ///
    /// Where no driver is installed, or it is to show no device, that is all there is to it. A driver with which nothing
    /// can be done, or a GPU without room for the model, is told to `options.warn` once, and the processor computes.
    static func onWhatThereIs(
        _ description: ModelDescription, _ options: LocalModel.Options
    ) throws -> sending LoadedRunner {
        var options = options
        if let tell = options.progress {
            let progress = RisingProgress(tell)
            options.progress = { progress.advance(to: $0) }
        }
        do {
            guard let driver = try CUDADriver.ifWanted() else { return try onCPU(description, options) }
            return try onGPU(driver.firstUsableDevice().ordinal, description, options)
        } catch let error as CUDAError {
            options.warn?("no GPU is used: \(error.description); the processor computes")
        } catch let error as RuntimeError where error.code == .outOfMemory {
            options.warn?("no GPU is used: \(error.message); the processor computes")
        }
        return try onCPU(description, options)
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
