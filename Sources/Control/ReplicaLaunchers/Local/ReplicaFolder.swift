import Deployments
import Glibc
import ServingJSON

/// The files of one replica: `replica.json` (who it is), `ready.json` (where it listens; the replica writes it),
/// `exit.json` (how it ended), `stop` (that it was told to) and its log. A folder without `replica.json` is that of a
/// forgotten replica, kept for its log.
struct ReplicaFolder: Sendable, Hashable {
    let path: String

    /// - Throws: `.refused` where the id can't name a folder.
    init(_ id: ReplicaID, in folder: String) throws(LauncherError) {
        guard Self.isValid(id) else {
            throw LauncherError(
                .refused, "replica id \"\(id.text.prefix(80))\": expected 1 to 200 of a-z, 0-9, -, _ and ., no . first")
        }
        path = folder + "/" + id.text
    }

    static func isValid(_ id: ReplicaID) -> Bool {
        let bytes = id.text.utf8
        return (1...200).contains(bytes.count) && bytes.first != UInt8(ascii: ".")
            && bytes.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
    }

    var recordPath: String { path + "/replica.json" }
    var readyPath: String { path + "/ready.json" }
    var stopPath: String { path + "/stop" }
    var exitPath: String { path + "/exit.json" }
    var log: ReplicaLog { ReplicaLog(path: path + "/log") }

    var hasRecord: Bool { LauncherFiles.status(recordPath) != nil }

    func write(_ record: ReplicaRecord) throws(LauncherError) {
        try LauncherFiles.writeAtomically(Array(record.json.text().utf8), to: recordPath)
    }

    /// Nil where there is none, or something else.
    /// - Throws: `.unavailable` where it can't be read now, though it may be whole.
    func record() throws(LauncherError) -> ReplicaRecord? {
        guard let bytes = LauncherFiles.read(recordPath, limit: 1 << 22) else {
            if [ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO].contains(errno) { return nil }
            throw LauncherError(.unavailable, "cannot read \(recordPath): \(String(cString: strerror(errno)))")
        }
        return (try? JSONValue(parsing: bytes)).flatMap { ReplicaRecord($0) }
    }

    func write(_ exit: ReplicaExit) throws(LauncherError) {
        try LauncherFiles.writeAtomically(Array(exit.json.text().utf8), to: exitPath)
    }

    func exit() -> ReplicaExit? { json(exitPath, limit: 4096).flatMap { ReplicaExit($0, lastLines: log.lastLines()) } }

    /// Notes that the replica was told to end. Without space for that it is told twice, should the server be started
    /// anew.
    func noteStop() { try? LauncherFiles.writeAtomically([], to: stopPath) }

    var isToldToStop: Bool { LauncherFiles.status(stopPath) != nil }

    /// Where the replica says that it listens; nil until it does, and while what it says makes no sense.
    func endpoint() -> ReplicaEndpoint? {
        guard let ready = json(readyPath, limit: 4096), let host = ready["host"]?.stringValue,
            (1...255).contains(host.utf8.count), let port = ready["port"]?.intValue, (1...65535).contains(port)
        else { return nil }
        return ReplicaEndpoint(host: host, port: port)
    }

    /// Leaves the log only. The record goes first: from then on the replica is forgotten, whatever cuts in.
    func forget() {
        unlink(recordPath)
        for name in LauncherFiles.names(in: path) where !ReplicaLog.fileNames.contains(name) {
            LauncherFiles.remove(path + "/" + name)
        }
    }

    private func json(_ path: String, limit: Int) -> JSONValue? {
        LauncherFiles.read(path, limit: limit).flatMap { try? JSONValue(parsing: $0) }
    }
}

/// How long logs of forgotten replicas stay, and ended replicas that nobody forgot.
package struct ReplicaRetention: Sendable, Hashable {
    /// Longest time after the last write.
    package var age: Duration
    /// Most folders kept, newest first.
    package var count: Int

    package init(age: Duration = .seconds(7 * 24 * 3600), count: Int = 200) {
        self.age = age
        self.count = count
    }

    /// Which of some folders have to go.
    func expired(_ folders: [(path: String, lastWrite: Timestamp)], now: Timestamp) -> [String] {
        let sorted = folders.sorted { ($0.lastWrite, $0.path) > ($1.lastWrite, $1.path) }
        return sorted.enumerated().filter { $0.offset >= count || now.since($0.element.lastWrite) > age }
            .map(\.element.path)
    }
}
