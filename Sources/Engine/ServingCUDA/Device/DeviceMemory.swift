import CCUDAHeaders
import Glibc

/// A region of a device's memory, freed with its last reference.
final class DeviceMemory: Sendable {
    let address: cuda_address
    let byteCount: Int
    private let device: CUDADevice

    /// - Throws: `.outOfMemory` with what was asked for and what is free.
    init(_ device: CUDADevice, byteCount: Int, purpose: @autoclosure () -> String) throws(CUDAError) {
        try device.activate()
        var address = cuda_address(0)
        let status = device.libraries.driver.memory_allocate(&address, max(byteCount, 256))
        if status == CUDA_OUT_OF_MEMORY {
            let free = (try? device.freeBytes()) ?? 0
            throw CUDAError(
                .outOfMemory,
                "\(purpose()) needs \((byteCount + (1 << 20) - 1) >> 20) MiB on cuda:\(device.ordinal) and "
                    + "\(free >> 20) of \(device.memoryBytes >> 20) MiB are free")
        }
        try device.libraries.driver.check(status, "allocating \(byteCount) bytes for \(purpose())")
        self.address = address
        self.byteCount = byteCount
        self.device = device
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        _ = device.libraries.driver.memory_free(address)
    }

    /// Copies bytes of the host to an offset, and waits.
    func fill(from source: UnsafeRawBufferPointer, at offset: Int = 0) throws(CUDAError) {
        precondition(offset >= 0 && offset + source.count <= byteCount, "a copy beyond its region")
        guard let start = source.baseAddress, !source.isEmpty else { return }
        try device.activate()
        // Not on the stream of the steps: that one may be waiting, or be recorded.
        try device.uploads.copy(
            UnsafeRawBufferPointer(start: start, count: source.count), to: address + cuda_address(offset))
    }
}

/// Host memory that the device reads and writes by itself.
final class PinnedMemory: Sendable {
    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let device: CUDADevice

    init(_ device: CUDADevice, byteCount: Int, purpose: @autoclosure () -> String) throws(CUDAError) {
        try device.activate()
        var memory: UnsafeMutableRawPointer?
        let status = device.libraries.driver.host_allocate(&memory, max(byteCount, 64), 0)
        guard status == CUDA_OK, let memory else {
            throw CUDAError(
                .outOfMemory,
                "\(byteCount >> 20) MiB of pinned memory for \(purpose()) can't be had: "
                    + device.libraries.driver.message(status))
        }
        base = memory
        self.byteCount = byteCount
        self.device = device
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        _ = device.libraries.driver.host_free(base)
    }
}
