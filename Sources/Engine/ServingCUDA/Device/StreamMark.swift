import CCUDAHeaders

/// A place in the work of the device's stream that can be waited for.
final class StreamMark {
    private let device: CUDADevice
    private let event: cuda_event_ref

    init(_ device: CUDADevice) throws(CUDAError) {
        self.device = device
        var event: cuda_event_ref?
        try device.libraries.driver.check(
            device.libraries.driver.event_create(&event, UInt32(CUDA_EVENT_DISABLE_TIMING)), "making an event")
        guard let event else { throw CUDAError(.deviceFailed, "the driver makes no event") }
        self.event = event
    }

    deinit { _ = device.libraries.driver.event_destroy(event) }

    /// Marks what has been put on the stream so far.
    func record() throws(CUDAError) {
        try device.libraries.driver.check(device.libraries.driver.event_record(event, device.stream), "marking work")
    }

    /// Waits until the marked work is done; at once where nothing was marked.
    func wait() throws(CUDAError) {
        try device.libraries.driver.check(device.libraries.driver.event_synchronize(event), "a step")
    }
}
