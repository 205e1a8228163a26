import Glibc

/// The thread that an engine owns.
enum EngineThread {
    private final class Payload {
        let loop: EngineLoop
        init(_ loop: EngineLoop) { self.loop = loop }
    }

    /// Runs the loop on a new thread, which ends with it.
    ///
    /// The loop is not `Sendable`; handing it over is safe because it is `sending`: nobody else can reach it any more.
    static func start(_ loop: sending EngineLoop) {
        let payload = Unmanaged.passRetained(Payload(loop))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // Models of many layers and C kernels with scratch space on the stack, in bytes.
        pthread_attr_setstacksize(&attributes, 8 << 20)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Payload>.fromOpaque(argument).takeRetainedValue().loop.run()
                return nil
            }, payload.toOpaque())
        precondition(status == 0, "no thread for the engine: error \(status)")
    }
}
