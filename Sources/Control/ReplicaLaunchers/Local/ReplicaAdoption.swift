import Deployments
import Glibc

/// What a new launcher finds in a folder: replicas that still run, others that ended meanwhile, and remains.
struct ReplicaAdoption {
    let folder: String
    let now: Timestamp
    private let marks: [ProcessMark]

    init(folder: String, now: Timestamp) {
        self.folder = folder
        self.now = now
        marks = ProcessMark.processes(of: folder)
    }

    /// The replicas by id. Processes of the folder that belong to no running replica are killed.
    ///
    /// - Throws: `.unavailable` where a record or a process can't be looked at now. Nothing is killed then: what could
    ///   not be seen is not gone.
    func replicas() throws(LauncherError) -> [ReplicaID: LocalReplica] {
        var result: [ReplicaID: LocalReplica] = [:]
        for name in LauncherFiles.names(in: folder) {
            let id = ReplicaID(name)
            guard let files = try? ReplicaFolder(id, in: folder), files.hasRecord else { continue }
            guard let record = try files.record(), record.id == id else {
                // Not written by us: nothing can be made of it but a log.
                files.forget()
                continue
            }
            result[id] = try replica(record, files)
        }
        for mark in marks where result[mark.id]?.process == nil { kill(mark.process) }
        return result
    }

    private func replica(_ record: ReplicaRecord, _ files: ReplicaFolder) throws(LauncherError) -> LocalReplica {
        var record = record
        if let exit = files.exit() { return LocalReplica(record, files, .ended(exit)) }
        if record.process == nil, let mark = marks.first(where: { $0.id == record.id && $0.isLeader }) {
            // The server was killed between the start of the process and its record.
            record.process = mark.process
            // Where that can't be written the mark is there for the next server, too.
            _ = try? files.write(record)
        }
        if record.process?.presence == .unknown {
            throw LauncherError(.unavailable, "replica \(record.id): cannot see whether its process runs")
        }
        guard let process = record.process, process.presence != .gone else {
            var lines = files.log.lastLines()
            if record.process == nil { lines.append("the server ended while it started this replica") }
            return ended(record, files, lines)
        }
        var replica = LocalReplica(record, files, .running(process))
        replica.endpoint = files.endpoint()
        if files.isToldToStop {
            // How much of its grace is left is the control plane's to say again.
            replica.stop = LocalReplica.Stop(deadline: ContinuousClock.now + .seconds(3600))
        }
        return replica
    }

    private func ended(_ record: ReplicaRecord, _ files: ReplicaFolder, _ lines: [String]) -> LocalReplica {
        let exit = ReplicaExit(lastLines: lines, at: now)
        // Kept, so that it has one time only; without it the next server finds the same, later.
        _ = try? files.write(exit)
        return LocalReplica(record, files, .ended(exit))
    }

    private func kill(_ process: ProcessIdentity) {
        guard process.isCurrent else { return }
        Glibc.kill(process.pid, SIGKILL)
    }

    /// Drops what is past its time: logs of forgotten replicas, and ended replicas that nobody forgot.
    static func dropExpired(
        in folder: String, keeping running: Set<ReplicaID>, _ retention: ReplicaRetention, now: Timestamp
    ) -> Set<ReplicaID> {
        var folders: [(path: String, lastWrite: Timestamp)] = []
        for name in LauncherFiles.names(in: folder) {
            let id = ReplicaID(name)
            guard ReplicaFolder.isValid(id), !running.contains(id), LauncherFiles.isFolder(folder + "/" + name) else {
                continue
            }
            let path = folder + "/" + name
            let written = LauncherFiles.status(path + "/log") ?? LauncherFiles.status(path)
            let seconds = Int64(written?.st_mtim.tv_sec ?? 0)
            folders.append((path, Timestamp(milliseconds: seconds * 1000)))
        }
        let expired = retention.expired(folders, now: now)
        for path in expired {
            // The record first, or half a folder would look like a replica.
            unlink(path + "/replica.json")
            LauncherFiles.remove(path)
        }
        return Set(expired.map { ReplicaID(String($0.dropFirst(folder.utf8.count + 1))) })
    }
}
