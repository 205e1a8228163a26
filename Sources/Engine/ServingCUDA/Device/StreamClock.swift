import CCUDAHeaders

/// Measures how long work on the device's stream takes.
final class StreamClock {
    private let device: CUDADevice
    private let (begin, end): (cuda_event_ref, cuda_event_ref)

    init(_ device: CUDADevice) throws(CUDAError) {
        self.device = device
        let driver = device.libraries.driver
        func event() throws(CUDAError) -> cuda_event_ref {
            var event: cuda_event_ref?
            try driver.check(driver.event_create(&event, 0), "making an event")
            guard let event else { throw CUDAError(.deviceFailed, "the driver makes no event") }
            return event
        }
        begin = try event()
        end = try event()
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        _ = device.libraries.driver.event_destroy(begin)
        _ = device.libraries.driver.event_destroy(end)
    }

    /// Work from here on counts.
    func start() throws(CUDAError) {
        try device.libraries.driver.check(device.libraries.driver.event_record(begin, device.stream), "timing")
    }

    /// Waits for the work; milliseconds that it took.
    func stop() throws(CUDAError) -> Float {
        let driver = device.libraries.driver
        try driver.check(driver.event_record(end, device.stream), "timing")
        try driver.check(driver.event_synchronize(end), "timing")
        var milliseconds = Float(0)
        try driver.check(driver.event_elapsed_time(&milliseconds, begin, end), "timing")
        return milliseconds
    }
}
