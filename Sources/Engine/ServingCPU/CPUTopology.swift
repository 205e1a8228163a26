import CServingKernels
import Glibc

/// How many threads are worth running: what the process may use of the machine's physical cores.
enum CPUTopology {
    /// Physical cores among those the process may run on, no more than its CPU quota.
    static func usableCoreCount() -> Int {
        let allowed = allowedCPUs()
        var cores = Set<[Int]>()
        for cpu in allowed {
            let folder = "/sys/devices/system/cpu/cpu\(cpu)/topology/"
            if let core = readInteger(folder + "core_id") {
                cores.insert([readInteger(folder + "physical_package_id") ?? 0, core])
            } else {
                cores.insert([-1, cpu])
            }
        }
        let count = max(cores.count, 1)
        guard let quota = quota() else { return count }
        return max(1, min(count, Int(quota.rounded(.up))))
    }

    /// CPUs of the affinity mask.
    private static func allowedCPUs() -> [Int] {
        var mask = [UInt8](repeating: 0, count: 1024)
        sk_allowed_processors(&mask, mask.count)
        return (0..<mask.count * 8).filter { mask[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
    }

    /// The control group's CPU quota in CPUs, or nil for none. cgroup v2 `cpu.max` is "quota period" in microseconds.
    private static func quota() -> Double? {
        guard let text = readFile("/sys/fs/cgroup/cpu.max") else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]), period > 0 else {
            return nil
        }
        return quota / period
    }

    private static func readInteger(_ path: String) -> Int? { readFile(path).flatMap { Int($0) } }

    /// The first line of a short file, without its end.
    private static func readFile(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
