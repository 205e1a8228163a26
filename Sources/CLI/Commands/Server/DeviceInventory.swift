import Deployments
import Glibc
import ServingCUDA
import ServingJSON

/// Finds out what GPUs the server can place replicas on.
///
/// Another process asks the driver (`pbctl list-devices`), and opens all that models need: the server itself keeps
/// nothing of CUDA open, and goes on where a library ends the one that opens it.
enum DeviceInventory {
    /// How long the driver and the libraries may take; cold ones take seconds. Less than who waits for the server.
    private static let patience = Duration.seconds(20)

    /// The GPUs of this machine. Where no driver is installed nothing is started to find that out.
    static func placement(program: String) -> DevicePlacement {
        guard CUDADriver.isInstalled else { return DevicePlacement() }
        do throws(Failure) {
            return try placement(report: ChildOutput(program, ["list-devices"]).text(within: patience))
        } catch {
            return DevicePlacement(problem: error.reason)
        }
    }

    struct Failure: Error { let reason: String }

    static func placement(report: String) throws(Failure) -> DevicePlacement {
        guard let json = try? JSONValue(parsing: Array(report.utf8)), let listed = json["gpus"]?.arrayValue else {
            throw Failure(reason: "the driver gives no account of its devices ('pbctl doctor' tells more)")
        }
        let gpus = listed.compactMap { gpu -> MachineGPU? in
            guard let ordinal = gpu["ordinal"]?.intValue, let name = gpu["name"]?.stringValue,
                let bytes = gpu["memoryBytes"]?.intValue
            else { return nil }
            return MachineGPU(ordinal: ordinal, name: name, memoryBytes: bytes)
        }
        return DevicePlacement(gpus: gpus, problem: json["problem"]?.stringValue)
    }
}

/// A program that is run for what it writes.
private struct ChildOutput {
    let program: String
    let arguments: [String]

    init(_ program: String, _ arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    /// What it wrote to standard output before it ended with status 0.
    func text(within patience: Duration) throws(DeviceInventory.Failure) -> String {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure("no pipe for it") }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = start(output: ends[1])
        close(ends[1])
        guard let child else { throw failure("it can't be started") }
        let bytes = Self.read(ends[0], until: ContinuousClock.now + patience)
        if bytes == nil { kill(child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        guard let bytes else { throw failure("it took more than \(patience.components.seconds) s") }
        guard status == 0 else {
            let signal = status & 0x7F
            throw failure(signal == 0 ? "it ended with status \(status >> 8)" : "it was ended by signal \(signal)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func failure(_ what: String) -> DeviceInventory.Failure {
        DeviceInventory.Failure(reason: "the process that asks the driver for its devices failed: \(what)")
    }

    private func start(output: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        guard posix_spawn_file_actions_init(&actions) == 0 else { return nil }
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var words = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        return posix_spawn(&child, program, &actions, nil, &words, environ) == 0 ? child : nil
    }

    /// All there is to read; nil where the end does not come in time.
    private static func read(_ file: Int32, until deadline: ContinuousClock.Instant) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while ContinuousClock.now < deadline {
            var waiting = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 1000) > 0 else { continue }
            let count = Glibc.read(file, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count > 0 { bytes += chunk[..<count] }
        }
        return nil
    }
}
