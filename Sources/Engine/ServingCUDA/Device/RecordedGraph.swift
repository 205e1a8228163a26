import CCUDAHeaders

/// Work of a stream that can be put there again at once.
final class RecordedGraph {
    private let device: CUDADevice
    private let executable: cuda_graph_exec_ref

    /// Records what a body puts on the device's stream; nothing of it runs.
    init(_ device: CUDADevice, _ body: () throws -> Void) throws {
        self.device = device
        let driver = device.libraries.driver
        try driver.check(
            driver.stream_begin_capture(device.stream, Int32(CUDA_CAPTURE_THREAD_LOCAL)), "recording a step")
        let result = Result { try body() }
        var graph: cuda_graph_ref?
        let status = driver.stream_end_capture(device.stream, &graph)
        defer { if let graph { _ = driver.graph_destroy(graph) } }
        try result.get()
        try driver.check(status, "recording a step")
        var executable: cuda_graph_exec_ref?
        guard let graph else { throw CUDAError(.deviceFailed, "the driver recorded nothing") }
        try driver.check(driver.graph_instantiate(&executable, graph, 0), "recording a step")
        guard let executable else { throw CUDAError(.deviceFailed, "the driver recorded nothing") }
        self.executable = executable
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        _ = device.libraries.driver.graph_exec_destroy(executable)
    }

    /// Puts the work on the stream.
    func launch() throws(CUDAError) {
        try device.libraries.driver.check(device.libraries.driver.graph_launch(executable, device.stream), "a step")
    }
}
