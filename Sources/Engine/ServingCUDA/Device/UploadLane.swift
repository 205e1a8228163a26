import CCUDAHeaders
import Synchronization

/// Brings bytes of the host to a device beside the steps: through two pinned buffers in turn, on a stream of its own, so
/// that the bus works while the next bytes are copied into the other buffer.
///
/// `@unchecked Sendable`: all members are constants, and one upload at a time uses what they point to.
final class UploadLane: @unchecked Sendable {
    private let driver: cuda_driver_table
    private let stream: cuda_stream_ref
    private let buffers: [UnsafeMutableRawPointer]
    private let marks: [cuda_event_ref]
    private let turn = Mutex(())

    /// Bytes of a buffer.
    private static let bufferBytes = 8 << 20

    /// Makes stream and buffers; the device's context must be the calling thread's.
    init(_ driver: cuda_driver_table) throws(CUDAError) {
        self.driver = driver
        var (stream, buffers, marks) = (cuda_stream_ref?.none, [UnsafeMutableRawPointer](), [cuda_event_ref]())
        do throws(CUDAError) {
            try driver.check(driver.stream_create(&stream, UInt32(CUDA_STREAM_NON_BLOCKING)), "making a stream")
            for _ in 0..<2 {
                var (memory, event) = (UnsafeMutableRawPointer?.none, cuda_event_ref?.none)
                try driver.check(driver.host_allocate(&memory, Self.bufferBytes, 0), "allocating pinned memory")
                if let memory { buffers.append(memory) }
                try driver.check(
                    driver.event_create(&event, UInt32(CUDA_EVENT_DISABLE_TIMING)), "making an event")
                if let event { marks.append(event) }
            }
            guard let stream, buffers.count == 2, marks.count == 2 else {
                throw CUDAError(.deviceFailed, "the driver makes nothing to copy with")
            }
            (self.stream, self.buffers, self.marks) = (stream, buffers, marks)
        } catch {
            Self.free(driver, stream, buffers, marks)
            throw error
        }
    }

    /// Gives back what it holds; the context must be the calling thread's.
    func close() { Self.free(driver, stream, buffers, marks) }

    private static func free(
        _ driver: cuda_driver_table, _ stream: cuda_stream_ref?, _ buffers: [UnsafeMutableRawPointer],
        _ marks: [cuda_event_ref]
    ) {
        for mark in marks { _ = driver.event_destroy(mark) }
        for buffer in buffers { _ = driver.host_free(buffer) }
        if let stream { _ = driver.stream_destroy(stream) }
    }

    /// Copies bytes to an address, and waits. The device's context must be the calling thread's.
    func copy(_ source: UnsafeRawBufferPointer, to target: cuda_address) throws(CUDAError) {
        let result = turn.withLock { _ in Result { () throws(CUDAError) in try copyInTurn(source, to: target) } }
        try result.get()
    }

    private func copyInTurn(_ source: UnsafeRawBufferPointer, to target: cuda_address) throws(CUDAError) {
        for (number, start) in stride(from: 0, to: source.count, by: Self.bufferBytes).enumerated() {
            let part = UnsafeRawBufferPointer(rebasing: source[start..<min(start + Self.bufferBytes, source.count)])
            let (buffer, mark) = (buffers[number % 2], marks[number % 2])
            // Of the copy before the last one.
            try driver.check(driver.event_synchronize(mark), "copying to the device")
            if let from = part.baseAddress { buffer.copyMemory(from: from, byteCount: part.count) }
            try driver.check(
                driver.copy_to_device(target + cuda_address(start), buffer, part.count, stream), "copying to the device"
            )
            try driver.check(driver.event_record(mark, stream), "copying to the device")
        }
        try driver.check(driver.stream_synchronize(stream), "copying to the device")
    }
}
