import Glibc

/// What this process has used, by the names that Prometheus' own clients export.
package enum ProcessFigures {
    /// The metrics, for a registry.
    package static let families = [
        MetricsRegistry.Family(
            name: "process_cpu_seconds_total", kind: .counter, help: "Processor time used, in seconds."),
        MetricsRegistry.Family(
            name: "process_resident_memory_bytes", kind: .gauge, help: "Memory that is in use, in bytes."),
        MetricsRegistry.Family(
            name: "process_start_time_seconds", kind: .gauge, help: "When the process began, in seconds since 1970."),
    ]

    /// Takes over what the system says now; before each output. What it doesn't say stays as it was.
    package static func update(_ registry: MetricsRegistry) {
        if let cpuSeconds { registry.set("process_cpu_seconds_total", to: cpuSeconds) }
        if let residentBytes { registry.set("process_resident_memory_bytes", to: residentBytes) }
        if let startTime { registry.set("process_start_time_seconds", to: startTime) }
    }

    /// Of all threads, in user mode and in the kernel.
    private static var cpuSeconds: Double? {
        let ticks = clock()
        // POSIX counts in microseconds whatever the clock's resolution.
        return ticks >= 0 ? Double(ticks) / 1e6 : nil
    }

    private static var residentBytes: Double? {
        let fields = read("/proc/self/statm").split(separator: " ")
        guard fields.count > 1, let pages = Double(fields[1]) else { return nil }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Boot time and the process's start since then: proc(5), fields `btime` and 22.
    private static let startTime: Double? = {
        // The name in field 2 may hold anything, so fields are counted from its closing bracket.
        let stat = read("/proc/self/stat")
        guard let bracket = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[bracket...].split(separator: " ")
        let boot = read("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }?.dropFirst(6)
        guard fields.count > 20, let ticks = Double(fields[20]), let boot = boot.flatMap({ Double($0) }) else {
            return nil
        }
        return boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }()

    /// A small file's text; empty where it can't be read.
    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
