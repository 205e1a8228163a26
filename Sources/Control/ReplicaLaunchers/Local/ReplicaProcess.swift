import CProcess
import Deployments
import Glibc

/// Starts and signals the processes of replicas.
enum ReplicaProcess {
    /// Starts a program in a session of its own and gives its id. It is ours to reap.
    static func start(
        _ program: String, _ arguments: [String], environment: [String], log: Int32
    ) throws(LauncherError) -> Int32 {
        guard let bad = ([program] + arguments).first(where: { $0.utf8.contains(0) }) else {
            var pid: pid_t = 0
            let number = withCStrings([program] + arguments) { arguments in
                withCStrings(environment) { environment in pbctl_spawn(&pid, program, arguments, environment, log) }
            }
            guard number == 0 else { throw failure(program, number) }
            return pid
        }
        throw LauncherError(.refused, "argument \"\(bad.prefix(80))\": a zero byte can't be in an argument")
    }

    private static func failure(_ program: String, _ number: Int32) -> LauncherError {
        let reason = String(cString: strerror(number))
        return switch number {
        case EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY:
            LauncherError(.unavailable, "cannot start \(program): \(reason); raise the limit or stop something")
        default: LauncherError(.refused, "cannot start \(program): \(reason)")
        }
    }

    /// Sends a signal to a replica's process group, once it was seen that the process is still the one meant: by its
    /// descriptor, or else (-1) by its start. False where it isn't, or that can't be seen.
    @discardableResult
    static func signal(_ process: ProcessIdentity, _ descriptor: Int32, _ signal: Int32) -> Bool {
        let isSame = descriptor >= 0 ? pbctl_pidfd_signal(descriptor, 0) == 0 : process.isCurrent
        return process.pid > 1 && isSame && kill(-process.pid, signal) == 0
    }

    /// Takes the exit status of an ended process if it is ours. Nil where it isn't, or hasn't ended.
    static func reap(_ pid: Int32) -> (code: Int32?, signal: Int32?)? {
        var status: Int32 = 0
        var result: pid_t
        repeat { result = waitpid(pid, &status, WNOHANG) } while result < 0 && errno == EINTR
        guard result == pid else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? ((status >> 8) & 0xFF, nil) : (nil, signal)
    }

    /// Ends a process of ours at once and waits for that.
    static func destroy(_ pid: Int32) {
        kill(-pid, SIGKILL)
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    }

    private static func withCStrings<Result>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return (copies + [nil]).withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has an address") }
            return body(base)
        }
    }
}
