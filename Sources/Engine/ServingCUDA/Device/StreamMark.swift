import CCUDAHeaders

/// A place in the work of one of the device's streams that can be waited for.
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

    deinit {
        guard (try? device.activate()) != nil else { return }
        _ = device.libraries.driver.event_destroy(event)
    }

    /// Marks what has been put on the stream so far, or on another one.
    func record(on stream: cuda_stream_ref? = nil) throws(CUDAError) {
        let driver = device.libraries.driver
        try driver.check(driver.event_record(event, stream ?? device.stream), "marking work")
    }

    /// Has later work of a stream wait for the marked work.
    func hold(_ stream: cuda_stream_ref) throws(CUDAError) {
        try device.libraries.driver.check(
            device.libraries.driver.stream_wait_event(stream, event, 0), "ordering work")
    }

    /// Waits until the marked work is done; at once where nothing was marked.
    func wait() throws(CUDAError) {
        try device.libraries.driver.check(device.libraries.driver.event_synchronize(event), "a step")
    }
}
