import Glibc

extension LocalServer {
    /// How a server is started.
    package struct Launch: Sendable {
        /// Path of pbctl.
        package var executable: String
        /// After the program's name: `server run ...`.
        package var arguments: [String]
        /// How long it may take to answer.
        package var patience: Duration
        package var apiKey: String?

        package init(
            executable: String, arguments: [String], patience: Duration = .seconds(10), apiKey: String? = nil
        ) {
            self.executable = executable
            self.arguments = arguments
            self.patience = patience
            self.apiKey = apiKey
        }
    }

    /// The server that runs, started where none does.
    /// - Returns: its record, and whether this call started it.
    package func startIfNeeded(
        _ launch: Launch
    ) async throws(ControlClientError) -> (record: Record, wasStarted: Bool) {
        if let record = await running(apiKey: launch.apiKey) { return (record, false) }
        try Self.makeFolders(folder)
        let deadline = ContinuousClock.now + launch.patience
        let turn = try await StartTurn(folder + "/start.lock", before: deadline)
        defer { withExtendedLifetime(turn) {} }
        // Another command may have started it while this one waited for its turn.
        if let record = await running(apiKey: launch.apiKey) { return (record, false) }
        var child: ChildServer?
        var logStart: Int64 = 0
        var failures = 0
        while ContinuousClock.now < deadline {
            if let record = await running(apiKey: launch.apiKey) {
                return (record, record.processID == child?.processID)
            }
            if child?.hasEnded() == true {
                child = nil
                failures += 1
                // One that lost to a server which somebody else started, or to one that is ending, tries again.
                guard record()?.mayRun == true, failures < 40 else { break }
            } else if child == nil, failures == 0 || record()?.mayRun != true {
                logStart = logSize
                child = try ChildServer(launch, logPath: logPath)
            }
            try await Self.pause()
        }
        throw failure(after: launch, logStart: logStart, child: child?.processID)
    }

    private static func pause() async throws(ControlClientError) {
        do { try await Task.sleep(for: .milliseconds(50)) } catch {
            throw ControlClientError(.cancelled, "interrupted")
        }
    }

    private var logSize: Int64 {
        var status = stat()
        return stat(logPath, &status) == 0 ? Int64(status.st_size) : 0
    }

    private func failure(after launch: Launch, logStart: Int64, child: pid_t?) -> ControlClientError {
        // Lines of the log begin as this command's own message will.
        let texts = logLines(from: logStart).map { $0.hasPrefix("pbctl: ") ? String($0.dropFirst(7)) : $0 }
        let lines = texts.joined(separator: " | ")
        let seconds = launch.patience.components.seconds
        if isHeld, let record = record(), record.processID != child {
            return ControlClientError(
                .notRunning, "the server (pid \(record.processID)) neither answers nor ends",
                hint: "try again when it has ended, or end it with 'pbctl server stop'; its log is \(logPath)")
        }
        let what =
            child == nil ? "the server did not start" : "the server did not answer within \(seconds) s of its start"
        return ControlClientError(
            .notRunning, lines.isEmpty ? what : "\(what): \(lines)", hint: "its log is \(logPath)")
    }

    private static func makeFolders(_ path: String) throws(ControlClientError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let number = errno
        guard number == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw ControlClientError(.notRunning, "cannot make folder \(path): \(String(cString: strerror(number)))")
        }
        try makeFolders(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw ControlClientError(.notRunning, "cannot make folder \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Waits until a server's process is gone, or has let go of the state: who started it may be slow to notice its
    /// end.
    /// - Returns: whether it is.
    package func waitForEnd(of processID: Int32, within patience: Duration) async throws(ControlClientError) -> Bool {
        let deadline = ContinuousClock.now + patience
        while isHeld, kill(processID, 0) == 0 || errno == EPERM {
            guard ContinuousClock.now < deadline else { return false }
            try await Self.pause()
        }
        return true
    }
}

/// The right to start a server, held until the value is destroyed or its process ends.
private struct StartTurn: ~Copyable {
    private let descriptor: Int32

    /// Waits for the right; past the deadline it goes on without, because the server's own lock is what counts.
    init(_ path: String, before deadline: ContinuousClock.Instant) async throws(ControlClientError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw ControlClientError(.notRunning, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0, ContinuousClock.now < deadline {
            do { try await Task.sleep(for: .milliseconds(20)) } catch {
                throw ControlClientError(.cancelled, "interrupted")
            }
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}

/// A server that this process has started.
private struct ChildServer {
    let processID: pid_t
    /// `POSIX_SPAWN_SETSID` of glibc 2.26 and later, which its headers keep to GNU's own dialect.
    private static let setSession: Int32 = 0x80

    /// Starts it with nothing to read, and with its output at the end of the log.
    init(_ launch: LocalServer.Launch, logPath: String) throws(ControlClientError) {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0, posix_spawnattr_init(&attributes) == 0 else {
            throw ControlClientError(.notRunning, "no memory to start a server")
        }
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Signals are to do again what they do by default: this program ignores SIGPIPE and may handle SIGINT.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        // A session of its own: neither Ctrl-C at this command's terminal nor its end is for the server.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | Self.setSession))
        var arguments = ([launch.executable] + launch.arguments).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let status = posix_spawn(&child, launch.executable, &actions, &attributes, &arguments, environ)
        guard status == 0 else {
            throw ControlClientError(
                .notRunning, "cannot start \(launch.executable): \(String(cString: strerror(status)))")
        }
        processID = child
    }

    /// Whether it is over; true at most once, because that reaps it.
    func hasEnded() -> Bool {
        var status: Int32 = 0
        return waitpid(processID, &status, WNOHANG) == processID
    }
}
