import Deployments
import Glibc
import Testing

@testable import ReplicaLaunchers

/// What a stand-in for a replica is told to do; `arguments` are understood by the script below and by the null
/// launcher's script.
struct StandIn: Sendable, Hashable {
    var lines: [String] = []
    var drainMilliseconds = 0
    var ignoresTermination = false
    var listens = true
    var exitCode: Int32?
    var printsEnvironment = false
    var printsSignals = false

    var arguments: [String] {
        var arguments = lines.flatMap { ["--say", $0] }
        if drainMilliseconds > 0 { arguments += ["--drain", String(drainMilliseconds)] }
        if ignoresTermination { arguments += ["--ignore-term"] }
        if !listens { arguments += ["--never-listen"] }
        if let exitCode { arguments += ["--exit", String(exitCode)] }
        if printsEnvironment { arguments += ["--print-environment"] }
        if printsSignals { arguments += ["--print-signals"] }
        return arguments
    }

    static let serving = StandIn()
    static let silent = StandIn(listens: false)
    static let stubborn = StandIn(ignoresTermination: true)

    /// A replica in bash. Its children (`sleep`) are in its process group.
    static let script = #"""
        drain=0; ignores=; silent=; code=; host=; file=
        while [ $# -gt 0 ]; do
          case $1 in
            --say) printf '%s\n' "$2"; shift;;
            --drain) drain=$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000))); shift;;
            --ignore-term) ignores=1;;
            --never-listen) silent=1;;
            --exit) code=$2; shift;;
            --print-environment) env;;
            --print-signals) grep -E 'SigBlk|SigIgn' /proc/self/status;;
            --host) host=$2; shift;;
            --port|--device) shift;;
            --ready-file) file=$2; shift;;
            *) echo "unknown option '$1'" >&2; exit 64;;
          esac
          shift
        done
        finish() { sleep "$drain"; echo drained; exit 0; }
        if [ -n "$ignores" ]; then trap '' TERM; else trap finish TERM; fi
        if [ -n "$code" ]; then exit "$code"; fi
        if [ -z "$silent" ]; then
          printf '{"pid":%d,"host":"%s","port":4242}' $$ "$host" > "$file.draft"
          mv "$file.draft" "$file"
        fi
        while :; do sleep 60 & wait $!; done
        """#
}

/// The time of this machine.
struct MachineClock: ControlClock {
    func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

/// A folder of a test, removed with it.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/pbctl-launchers-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// One that another process made.
    init(existing path: String) { self.path = path }

    deinit { LauncherFiles.remove(path) }

    func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

    func write(_ bytes: [UInt8], to name: String) throws {
        let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        #expect(LauncherFiles.writeAll(bytes, to: file) == 0)
        close(file)
    }
}

struct NothingHappened: Error, CustomStringConvertible {
    let description: String
}

/// Waits until something is there; gives up after a minute, which says nothing about speed.
func eventually<Value>(
    _ what: String, _ look: () async throws -> Value?
) async throws -> Value {
    for _ in 0..<6000 {
        if let value = try await look() { return value }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw NothingHappened(description: "waited in vain for: \(what)")
}

func request(_ id: String, _ arguments: [String], environment: [String: String] = [:]) throws -> ReplicaLaunchRequest {
    ReplicaLaunchRequest(
        id: ReplicaID(id), deployment: try DeploymentName("chat"), deploymentID: "6a1e0d4c", revision: 3,
        templateMark: "mark-1", arguments: arguments, environment: environment)
}

extension ReplicaLauncher {
    /// A replica once it listens.
    func listening(_ id: String) async throws -> LaunchedReplica {
        try await eventually("\(id) to listen") {
            let replica = try await replica(ReplicaID(id))
            return replica?.endpoint == nil ? nil : replica
        }
    }

    /// How a replica ended, once it has.
    func exit(_ id: String) async throws -> ReplicaExit {
        try await eventually("\(id) to end") {
            if case .ended(let exit)? = try await replica(ReplicaID(id))?.state { exit } else { nil }
        }
    }

    func lines(_ id: String, _ options: LogOptions = LogOptions()) async throws -> [String] {
        var lines: [String] = []
        for try await line in try await logs(ReplicaID(id), options) { lines.append(line.text) }
        return lines
    }
}
