import Foundation

/// The processes of this machine that belong to a pbctl with a folder of its own.
struct ProcessTable {
    struct Entry: Equatable {
        let processID: pid_t
        let arguments: [String]

        var isReplica: Bool { arguments.dropFirst().starts(with: ["engine", "serve"]) }
        var isServer: Bool { arguments.dropFirst().starts(with: ["server", "run"]) }
    }

    let entries: [Entry]

    /// Reads which processes have this `PBCTL_HOME`; those that have ended and wait for their parent are none.
    init(home: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        entries = names.compactMap(pid_t.init).sorted().compactMap { id in
            // What has ended has no environment any more.
            guard let environment = Self.strings("/proc/\(id)/environ"), environment.contains("PBCTL_HOME=\(home)"),
                let arguments = Self.strings("/proc/\(id)/cmdline"), !arguments.isEmpty
            else { return nil }
            return Entry(processID: id, arguments: arguments)
        }
    }

    var replicas: [pid_t] { entries.filter(\.isReplica).map(\.processID) }

    private static func strings(_ path: String) -> [String]? {
        guard let data = FileManager.default.contents(atPath: path), !data.isEmpty else { return nil }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
