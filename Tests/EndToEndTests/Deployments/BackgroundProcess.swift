import Foundation
import Glibc

/// A program that runs beside the test, its output in files.
///
/// Not Foundation's `Process`, which needs a run loop and threads of its own for each. Only one task at a time has it.
final class BackgroundProcess {
    let processID: pid_t
    private let arguments: [String]
    private let outputFile: URL
    private let errorFile: URL
    /// As `waitpid` gave it, once it has ended.
    private var waitStatus: Int32?

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// How it ended and what it wrote.
    struct End {
        /// As a shell counts it: 128 + the signal's number where one ended it.
        let status: Int32
        let output: String
        let error: String

        /// Whether standard error holds one line from pbctl and nothing else.
        var complainsOnOneLine: Bool {
            error.hasPrefix("pbctl: ") && error.hasSuffix("\n") && error.split(separator: "\n").count == 1
        }
    }

    /// - Parameter folder: where its output goes; whoever made the folder removes it.
    init(_ program: String, _ arguments: [String], environment: [String: String] = [:], folder: String) throws {
        let base = URL(fileURLWithPath: folder).appendingPathComponent("run-\(UUID().uuidString)")
        outputFile = base.appendingPathExtension("out")
        errorFile = base.appendingPathExtension("err")
        self.arguments = arguments
        // Without a GPU, also where there is one: what is expected are the processor's answers.
        let environment = ["PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""].merging(environment) { $1 }
        processID = try Self.spawn(
            [program] + arguments, environment.map { "\($0)=\($1)" }, output: outputFile.path, error: errorFile.path)
    }

    /// What the program that runs the tests has open is not for servers, which would hold it open for as long as they
    /// run.
    private static let keepFilesToOurselves: Void = {
        for file in Int32(3)..<256 { _ = fcntl(file, F_SETFD, FD_CLOEXEC) }
    }()

    private static func spawn(
        _ arguments: [String], _ environment: [String], output: String, error: String
    ) throws -> pid_t {
        Self.keepFilesToOurselves
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // Tests may run with signals blocked or ignored.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words = arguments.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in words + variables { free(text) } }
        var processID: pid_t = 0
        let fault = posix_spawn(&processID, arguments[0], &actions, &attributes, &words, &variables)
        guard fault == 0 else {
            throw Failure(description: "\(arguments[0]) can't be started: \(String(cString: strerror(fault)))")
        }
        return processID
    }

    deinit {
        guard isRunning else { return }
        signal(SIGKILL)
        waitpid(processID, nil, 0)
    }

    var isRunning: Bool {
        if waitStatus != nil { return false }
        var status: Int32 = 0
        if waitpid(processID, &status, WNOHANG) == processID { waitStatus = status }
        return waitStatus == nil
    }

    var output: Data { (try? Data(contentsOf: outputFile)) ?? Data() }
    var outputText: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { (try? Data(contentsOf: errorFile)).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    /// Sends a signal, unless it has ended: its number may be another's by then.
    func signal(_ number: Int32) { if waitStatus == nil { kill(processID, number) } }

    /// Waits for its end; kills it where that takes too long.
    @discardableResult
    func end(within limit: Duration = .seconds(90)) throws -> End {
        guard Patience(limit).wait({ !isRunning }), let status = waitStatus else {
            signal(SIGKILL)
            throw Failure(description: "\(arguments.prefix(3)) did not end within \(limit): \(errorText)")
        }
        let signalNumber = status & 0x7F
        return End(
            status: signalNumber == 0 ? status >> 8 & 0xFF : 128 + signalNumber, output: outputText, error: errorText)
    }
}

/// Looks again and again whether something has come about, for as long as it may take.
struct Patience {
    private let limit: Duration

    init(_ limit: Duration) { self.limit = limit }

    /// Whether it came about.
    func wait(every interval: Duration = .milliseconds(10), _ hasHappened: () throws -> Bool) rethrows -> Bool {
        let end = ContinuousClock.now + limit
        while true {
            if try hasHappened() { return true }
            if ContinuousClock.now >= end { return false }
            usleep(UInt32(interval / .microseconds(1)))
        }
    }
}
