import Deployments
import Glibc

/// Starting a replica so that nothing that cuts in loses a process: intent, process, record.
extension LocalLauncher {
    /// - Throws: `.unavailable` at the limit of replicas or of the machine, `.refused` for a program that can't be
    ///   started, `.cannotWrite` where the replica's files can't be. No process and no file is left then.
    package func launch(_ request: ReplicaLaunchRequest) throws(LauncherError) {
        try requireOpen()
        let files = try ReplicaFolder(request.id, in: folder)
        if replicas[request.id] != nil { return }
        let runningCount = replicas.values.count { $0.process != nil }
        if let maxReplicas, runningCount >= maxReplicas {
            throw LauncherError(
                .unavailable,
                "replica \(request.id): \(runningCount) of \(maxReplicas) replicas run on this machine; stop one or raise the limit"
            )
        }
        let variables = try LaunchEnvironment.variables(ours: environment, request: request, folder: folder)
        let arguments =
            request.arguments + ["--host", "127.0.0.1", "--port", "0", "--ready-file", files.readyPath]
        let record = ReplicaRecord(request, arguments: arguments, launchedAt: clock.now())
        let hadLog = files.log.exists
        do {
            try start(record, files, variables)
        } catch {
            // An interrupted launch leaves all as the death of the server would.
            if error.code != .interrupted { discard(files, keepingLog: hadLog) }
            throw error.asLauncherError
        }
        feed.tell(request.id)
    }

    private struct LaunchFailure: Error {
        enum Code { case interrupted, failed }
        var code: Code
        var asLauncherError: LauncherError

        init(_ error: LauncherError) {
            code = .failed
            asLauncherError = error
        }

        init(interruptedAt step: LaunchStep) {
            code = .interrupted
            asLauncherError = LauncherError(.unavailable, "the launch was interrupted (\(step))")
        }
    }

    private func start(
        _ intent: ReplicaRecord, _ files: ReplicaFolder, _ variables: [String]
    ) throws(LaunchFailure) {
        var record = intent
        let log = try attempt { () throws(LauncherError) in
            try LauncherFiles.makeFolders(files.path)
            // What an earlier replica of this id left, if ids came round.
            unlink(files.readyPath)
            unlink(files.exitPath)
            try files.write(record)
            return try files.log.openForAppending()
        }
        defer { Glibc.close(log) }
        try interrupt(.intentWritten)
        let pid = try attempt { () throws(LauncherError) in
            try ReplicaProcess.start(executable, record.arguments, environment: variables, log: log)
        }
        try interrupt(.processStarted)
        // Ours and not reaped, so its entry is there even if it has ended.
        record.process = ProcessIdentity(of: pid)
        do throws(LauncherError) {
            guard record.process != nil else { throw LauncherError(.unavailable, "cannot read /proc/\(pid)/stat") }
            try files.write(record)
        } catch {
            ReplicaProcess.destroy(pid)
            throw LaunchFailure(error)
        }
        try interrupt(.processRecorded)
        guard let process = record.process else { return }
        var replica = LocalReplica(record, files, .running(process))
        if usesDescriptors { replica.watch() }
        replicas[record.id] = replica
    }

    private func attempt<Value>(_ body: () throws(LauncherError) -> Value) throws(LaunchFailure) -> Value {
        do { return try body() } catch { throw LaunchFailure(error) }
    }

    private func interrupt(_ step: LaunchStep) throws(LaunchFailure) {
        if interruption?(step) == true { throw LaunchFailure(interruptedAt: step) }
    }

    private func discard(_ files: ReplicaFolder, keepingLog: Bool) {
        files.forget()
        if !keepingLog { LauncherFiles.remove(files.path) }
    }
}
