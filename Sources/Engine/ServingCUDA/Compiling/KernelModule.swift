import CCUDAHeaders

/// Kernels loaded onto a device, found by name.
final class KernelModules {
    private let device: CUDADevice
    private var modules: [cuda_module_ref] = []
    private var sources: [KernelSource: cuda_module_ref] = [:]

    /// Compiles what is not in the cache and loads all of it. An image that the driver refuses is compiled anew once.
    init(_ device: CUDADevice, _ units: [KernelCompiler.Unit], compiler: KernelCompiler) throws(CUDAError) {
        self.device = device
        try device.activate()
        for (unit, entry) in zip(units, try compiler.images(of: units)) {
            do {
                try add(unit, entry.image)
            } catch  where entry.isCached {
                compiler.cache?.remove(entry.key)
                let image = try compiler.compile(unit).image
                compiler.cache?.store(image, for: entry.key)
                try add(unit, image)
            }
        }
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        for module in modules { _ = device.libraries.driver.module_unload(module) }
    }

    private func add(_ unit: KernelCompiler.Unit, _ image: [UInt8]) throws(CUDAError) {
        var module: cuda_module_ref?
        let status = image.withUnsafeBytes { bytes in
            bytes.baseAddress.map { device.libraries.driver.module_load(&module, $0) } ?? 1
        }
        try device.libraries.driver.check(status, "loading \(unit.source.rawValue)")
        guard let module else { throw CUDAError(.deviceFailed, "the driver loads \(unit.source.rawValue) as nothing") }
        modules.append(module)
        sources[unit.source] = module
    }

    /// A kernel that may ask for so many bytes of shared memory.
    func kernel(_ name: String, in source: KernelSource, sharedBytes: Int = 0) throws(CUDAError) -> Kernel {
        guard let module = sources[source] else {
            throw CUDAError(.invalid, "\(source.rawValue) is not loaded")
        }
        var function: cuda_function_ref?
        let driver = device.libraries.driver
        try driver.check(driver.module_get_function(&function, module, name), "finding \(name)")
        guard let function else { throw CUDAError(.deviceFailed, "the driver finds \(name) as nothing") }
        if sharedBytes > 48 << 10 {
            try driver.check(
                driver.function_set_attribute(
                    function, Int32(CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES), Int32(sharedBytes)),
                "\(sharedBytes) bytes of shared memory for \(name)")
        }
        return Kernel(name: name, function: function, device: device)
    }
}
