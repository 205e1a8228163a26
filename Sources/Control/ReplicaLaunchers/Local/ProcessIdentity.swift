import Glibc

/// Names one process for ever: a process id comes round again, one with the same start in the same run of the kernel
/// doesn't.
struct ProcessIdentity: Sendable, Hashable {
    var pid: Int32
    /// When it started, in clock ticks since the kernel did.
    var startTicks: UInt64
    /// Names the kernel's run.
    var bootID: String

    /// The process that has an id now; nil where there is none.
    init?(of pid: Int32) {
        guard let entry = ProcessEntry(pid: pid) else { return nil }
        self.init(pid: pid, startTicks: entry.startTicks, bootID: Self.currentBootID)
    }

    init(pid: Int32, startTicks: UInt64, bootID: String) {
        self.pid = pid
        self.startTicks = startTicks
        self.bootID = bootID
    }

    /// What has become of a process.
    enum Presence: Sendable, Hashable {
        case running
        /// It has ended and nobody reaped it (a zombie); its id is still its own.
        case ended
        /// It has ended, and the id may be another's by now.
        case gone
        /// The kernel could not be asked: no file or memory left.
        case unknown
    }

    var presence: Presence {
        guard pid > 1, bootID == Self.currentBootID else { return .gone }
        guard let entry = ProcessEntry(pid: pid) else { return errno == ENOENT || errno == ESRCH ? .gone : .unknown }
        guard entry.startTicks == startTicks else { return .gone }
        return entry.hasEnded ? .ended : .running
    }

    /// Whether it is known to have ended.
    var hasEnded: Bool { presence == .ended || presence == .gone }

    /// Whether the id is known to stand for this process still, be it ended and not reaped.
    var isCurrent: Bool { presence == .running || presence == .ended }

    static let currentBootID: String = {
        let bytes = LauncherFiles.read("/proc/sys/kernel/random/boot_id", limit: 64) ?? []
        return String(decoding: bytes.filter { $0 > 32 }, as: UTF8.self)
    }()
}

/// What `/proc/PID/stat` says of a process.
struct ProcessEntry: Sendable, Hashable {
    var state: UInt8
    var session: Int32
    var startTicks: UInt64

    /// Nil with errno where there is no such process or it can't be read.
    init?(pid: Int32) {
        guard let bytes = LauncherFiles.read("/proc/\(pid)/stat", limit: 4096) else { return nil }
        self.init(stat: bytes)
    }

    /// Reads the line. The program's name, second, is in parentheses and may hold any character, parentheses among
    /// them.
    init?(stat bytes: [UInt8]) {
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[(end + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        // Field numbers of proc(5), less the three before: state 3, session 6, starttime 22.
        guard fields.count > 19, let state = fields[0].first,
            let session = Int32(String(decoding: fields[3], as: UTF8.self)),
            let ticks = UInt64(String(decoding: fields[19], as: UTF8.self))
        else { return nil }
        self.state = state
        self.session = session
        startTicks = ticks
    }

    var hasEnded: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") || state == UInt8(ascii: "x") }
}
