import Deployments
import Glibc

/// The mark in its environment by which a replica's process is known as ours, whatever became of our files.
///
/// It closes the gap between the start of a process and its record: a server killed in between leaves a process that no
/// file names, and the next one finds it by its mark. Children of a replica carry it too.
struct ProcessMark: Sendable, Hashable {
    static let idVariable = "PBCTL_REPLICA_ID"
    static let folderVariable = "PBCTL_REPLICA_FOLDER"

    var id: ReplicaID
    var process: ProcessIdentity
    /// Whether it leads its session, as a replica does and its children don't.
    var isLeader: Bool

    /// Running processes of this user that carry the mark of a folder.
    static func processes(of folder: String) -> [ProcessMark] {
        let own = getuid()
        return LauncherFiles.names(in: "/proc").compactMap { name in
            guard let pid = Int32(name), pid > 1, pid != getpid(), LauncherFiles.status("/proc/\(name)")?.st_uid == own
            else {
                return nil
            }
            return ProcessMark(pid: pid, folder: folder)
        }
    }

    private init?(pid: Int32, folder: String) {
        guard let process = ProcessIdentity(of: pid), let entry = ProcessEntry(pid: pid), !entry.hasEnded,
            let id = Self.replica(environment: LauncherFiles.read("/proc/\(pid)/environ", limit: 1 << 21) ?? [], folder)
        else { return nil }
        self.id = id
        self.process = process
        isLeader = entry.session == pid
        // The id may have come round while we read.
        guard process.isCurrent else { return nil }
    }

    /// Whose mark an environment block carries.
    static func replica(environment: [UInt8], _ folder: String) -> ReplicaID? {
        var id: ReplicaID?
        var isOurs = false
        for variable in environment.split(separator: 0) {
            if variable.elementsEqual("\(folderVariable)=\(folder)".utf8) { isOurs = true }
            if variable.starts(with: "\(idVariable)=".utf8) {
                id = ReplicaID(String(decoding: variable.dropFirst(idVariable.utf8.count + 1), as: UTF8.self))
            }
        }
        return isOurs ? id : nil
    }
}
