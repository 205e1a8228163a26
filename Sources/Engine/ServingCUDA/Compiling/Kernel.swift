import CCUDAHeaders

/// A kernel that can be launched on its device's stream.
struct Kernel {
    let name: String
    let function: cuda_function_ref
    let device: CUDADevice

    /// Blocks in each direction.
    struct Grid {
        var x: Int
        var y = 1
        var z = 1
    }

    /// Launches it. An empty grid is nothing to do.
    func launch(
        _ grid: Grid, threads: Int, sharedBytes: Int = 0, _ arguments: KernelArgument...
    ) throws(CUDAError) {
        try launch(grid, threads: threads, sharedBytes: sharedBytes, arguments)
    }

    /// - Parameter stream: Nil for the device's.
    func launch(
        _ grid: Grid, threads: Int, sharedBytes: Int = 0, on stream: cuda_stream_ref? = nil,
        _ arguments: [KernelArgument]
    ) throws(CUDAError) {
        guard grid.x > 0, grid.y > 0, grid.z > 0 else { return }
        guard grid.x <= Int(Int32.max), grid.y <= 65535, grid.z <= 65535 else {
            throw CUDAError(.invalid, "\(name): a grid of (\(grid.x), \(grid.y), \(grid.z)) blocks")
        }
        let driver = device.libraries.driver
        // The driver copies each argument before it returns.
        let status = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: arguments.count) { values in
            withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: arguments.count) { pointers in
                for (index, argument) in arguments.enumerated() {
                    values.initializeElement(at: index, to: argument.bits)
                    pointers.initializeElement(
                        at: index, to: values.baseAddress.map { UnsafeMutableRawPointer($0 + index) })
                }
                guard let start = pointers.baseAddress else { return Int32(1) }
                return driver.launch(
                    function, UInt32(grid.x), UInt32(grid.y), UInt32(grid.z), UInt32(threads), 1, 1,
                    UInt32(sharedBytes), stream ?? device.stream, start, nil)
            }
        }
        try driver.check(status, name)
    }
}

/// A value of a kernel's argument, as the low bytes of a word.
struct KernelArgument {
    fileprivate let bits: UInt64

    /// A pointer.
    static func address(_ address: cuda_address?) -> KernelArgument { KernelArgument(bits: address ?? 0) }
    /// An int.
    static func int(_ value: Int) -> KernelArgument {
        KernelArgument(bits: UInt64(UInt32(bitPattern: Int32(truncatingIfNeeded: value))))
    }
    /// A long long.
    static func long(_ value: Int) -> KernelArgument { KernelArgument(bits: UInt64(bitPattern: Int64(value))) }
    /// A float.
    static func float(_ value: Float) -> KernelArgument { KernelArgument(bits: UInt64(value.bitPattern)) }
}
