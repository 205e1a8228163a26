import Deployments
import Glibc
import ServingJSON
import Testing

@testable import ReplicaLaunchers

/// What holds for processes of this machine only.
@Suite struct LocalLauncherTests {
    /// Runs a body in a world of its own.
    private func withWorld(_ body: (LocalLauncherWorld) async throws -> Void) async throws {
        try await withLocalWorld(body)
    }

    @Test func aProcessLeadsItsSessionInTheRootFolderWithoutOurFiles() async throws {
        try await withWorld { world in
            // What a child would inherit: an ignored signal, and a file that is not closed on exec.
            signal(SIGPIPE, SIG_IGN)
            let inherited = open(world.script, O_RDONLY)
            defer { close(inherited) }
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", StandIn(printsSignals: true)))
            let pid = try #require(try await launcher.listening("chat-a1").processID)
            let entry = try #require(ProcessEntry(pid: pid))
            #expect(entry.session == pid)
            #expect(link("/proc/\(pid)/cwd") == "/")
            #expect(link("/proc/\(pid)/fd/0") == "/dev/null")
            let log = await launcher.folder + "/chat-a1/log"
            #expect(link("/proc/\(pid)/fd/1") == log)
            #expect(link("/proc/\(pid)/fd/2") == log)
            // Bash reads its script through 255; no other file is open.
            #expect(Set(LauncherFiles.names(in: "/proc/\(pid)/fd")).subtracting(["0", "1", "2", "255"]).isEmpty)
            let lines = try await launcher.lines("chat-a1")
            #expect(lines.count == 2)
            for line in lines {
                let signals = try #require(UInt64(line.suffix(16), radix: 16))
                // 32 and 33 are the C library's own.
                #expect(signals & ~(0b11 << 31) == 0, "\(line)")
            }
        }
    }

    private func link(_ path: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test func aProcessGetsOnlyTheVariablesThatItNeeds() async throws {
        try await withWorld { world in
            let ours = [
                "PATH": "/usr/bin:/bin", "HF_TOKEN": "hf_x", "PBCTL_HOME": "/h", "HTTPS_PROXY": "http://p:1",
                "AWS_SECRET_ACCESS_KEY": "s3cret", "LD_PRELOAD": "", "PBCTL_REPLICA_ID": "other",
                // A replica with the server's key would ask its server for it.
                "PBCTL_API_KEY": "s3cret",
            ]
            let launcher = try world.makeLauncher(environment: ours)
            var request = try world.request("chat-a1", StandIn(exitCode: 0, printsEnvironment: true))
            request.environment = ["PBCTL_HOME": "/mine", "PBCTL_REPLICA_KEY": "key-1"]
            try await launcher.launch(request)
            _ = try await launcher.exit("chat-a1")
            let lines = Set(try await launcher.lines("chat-a1"))
            #expect(lines.isSuperset(of: ["HF_TOKEN=hf_x", "PBCTL_HOME=/mine", "HTTPS_PROXY=http://p:1"]))
            #expect(lines.isSuperset(of: ["PBCTL_REPLICA_KEY=key-1", "PBCTL_REPLICA_ID=chat-a1"]))
            #expect(!lines.contains { $0.contains("s3cret") || $0.hasPrefix("LD_PRELOAD") })
            for name in ["replica.json", "exit.json"] {
                let content = LauncherFiles.read(world.folder + "/chat-a1/" + name, limit: 1 << 20) ?? []
                let text = String(decoding: content, as: UTF8.self)
                #expect(!text.isEmpty)
                #expect(!text.contains("key-1") && !text.contains("hf_x"))
            }
        }
    }

    @Test(arguments: [StandIn.serving, .silent]) func aKilledReplicaIsSeenToHaveEnded(standIn: StandIn) async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", standIn))
            if standIn.listens { _ = try await launcher.listening("chat-a1") }
            let pid = try #require(try await launcher.replica(ReplicaID("chat-a1"))?.processID)
            let process = try #require(ProcessIdentity(of: pid))
            _ = try await eventually("it to have a child") { world.processes.count > 1 ? true : nil }
            kill(pid, SIGKILL)
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.signal == 9)
            // Reaped: no zombie, and none of its children runs on.
            #expect(!process.isCurrent)
            _ = try await eventually("its children to end") { world.processes.isEmpty ? true : nil }
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(300), .seconds(600)])
    func aSuspendedReplicaEnds(grace: Duration) async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1"))
            let pid = try #require(try await launcher.listening("chat-a1").processID)
            kill(pid, SIGSTOP)
            let replica = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(replica?.state == .running)
            try await launcher.stop(ReplicaID("chat-a1"), grace: grace)
            let exit = try await launcher.exit("chat-a1")
            if grace == .seconds(600) { #expect(exit.code == 0) }
            if grace == .zero { #expect(exit.signal == 9) }
        }
    }

    @Test func theLimitOfReplicasIsToldWithItsNumbers() async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher(maxReplicas: 2)
            try await launcher.launch(world.request("chat-a1"))
            try await launcher.launch(world.request("chat-b2"))
            let error = await #expect(throws: LauncherError.self) {
                try await launcher.launch(world.request("chat-c3"))
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("2 of 2") == true)
            // One that is there already is no new one.
            try await launcher.launch(world.request("chat-b2"))
            try await launcher.stop(ReplicaID("chat-a1"), grace: .zero)
            _ = try await launcher.exit("chat-a1")
            try await launcher.launch(world.request("chat-c3"))
            _ = try await launcher.listening("chat-c3")
        }
    }

    @Test(arguments: ["/no/such/program", "/etc/passwd", "/tmp"])
    func aProgramThatCannotStartIsRefusedAndLeavesNothing(program: String) async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher(executable: program)
            let error = await #expect(throws: LauncherError.self) {
                try await launcher.launch(world.request("chat-a1"))
            }
            #expect(error?.code == .refused)
            #expect(error?.isRetryable == false)
            #expect(error?.message.contains(program) == true)
            let all = try await launcher.list()
            #expect(all.isEmpty)
            #expect(LauncherFiles.names(in: world.folder) == [".lock"])
        }
    }

    @Test func whatNoProcessCanBeGivenIsRefused() async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher()
            var requests = try [
                "", ".", "..", "../x", "a/b", ".lock", "a b", "a\u{0}", String(repeating: "a", count: 201),
            ]
            .map { try world.request($0) }
            requests.append(try request("chat-a1", ["a\u{0}b"]))
            requests.append(try request("chat-a1", [], environment: ["A=B": "c"]))
            requests.append(try request("chat-a1", [], environment: ["": "c"]))
            requests.append(try request("chat-a1", [], environment: ["A": "c\u{0}"]))
            requests.append(try request("chat-a1", [String(repeating: "x", count: 1 << 20)]))
            for request in requests {
                let error = await #expect(throws: LauncherError.self) { try await launcher.launch(request) }
                #expect(error?.code == .refused)
            }
            #expect(LauncherFiles.names(in: world.folder) == [".lock"])
        }
    }

    @Test func aFolderBelongsToOneLauncherAtATime() async throws {
        try await withWorld { world in
            let first = try world.makeLauncher()
            let error = #expect(throws: LauncherError.self) { try world.makeLauncher() }
            #expect(error?.code == .refused)
            await first.close()
            await first.close()
            _ = try world.makeLauncher()
            await #expect(throws: LauncherError.self) { try await first.launch(world.request("chat-a1")) }
            await #expect(throws: LauncherError.self) { try await first.list() }
            var changes = first.changes().makeAsyncIterator()
            let none = await changes.next()
            #expect(none == nil)
        }
    }

    @Test func aFollowedLogEndsWhenTheLauncherIsClosed() async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", StandIn(lines: ["hello"])))
            _ = try await launcher.listening("chat-a1")
            var texts: [String] = []
            for try await line in try await launcher.logs(ReplicaID("chat-a1"), LogOptions(follow: true)) {
                texts.append(line.text)
                await launcher.close()
            }
            #expect(texts == ["hello"])
        }
    }

    @Test func aRunningReplicasLogIsKeptShortAndItsTimesNoted() async throws {
        try await withWorld { world in
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1"))
            _ = try await launcher.listening("chat-a1")
            let log = try ReplicaFolder(ReplicaID("chat-a1"), in: world.folder).log
            let file = try log.openForAppending()
            defer { close(file) }
            let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1023) + [UInt8(ascii: "\n")]
            let block = Array(repeatElement(line, count: 1024).joined())
            for _ in 0..<65 { #expect(LauncherFiles.writeAll(block, to: file) == 0) }
            _ = try await eventually("the log to be cut") {
                let bytes = Int64(LauncherFiles.status(log.path)?.st_blocks ?? 0) * 512
                let earlier = Int64(LauncherFiles.status(log.earlierPath)?.st_blocks ?? 0) * 512
                return bytes + earlier < 40 << 20 ? true : nil
            }
            let last = try await launcher.lines("chat-a1", LogOptions(tail: 1))
            #expect(last.map(\.utf8.count) == [1023])
            // Everything is older than the end of time, once its time was noted.
            let future = Timestamp(milliseconds: .max)
            _ = try await eventually("the log's length to be noted") {
                try await launcher.lines("chat-a1", LogOptions(since: future)).isEmpty ? true : nil
            }
        }
    }

    @Test func endedReplicasPastTheirTimeAreDropped() async throws {
        try await withWorld { world in
            let first = try world.makeLauncher()
            for id in ["chat-a1", "chat-b2"] {
                try await first.launch(world.request(id, StandIn(lines: ["x"], exitCode: 0)))
                _ = try await first.exit(id)
            }
            try await first.launch(world.request("chat-c3"))
            _ = try await first.listening("chat-c3")
            try await first.forget(ReplicaID("chat-a1"))
            await first.close()
            let second = try world.makeLauncher(retention: ReplicaRetention(count: 0))
            _ = try await eventually("old folders to go") {
                LauncherFiles.names(in: world.folder).sorted() == [".lock", "chat-c3"] ? true : nil
            }
            let all = try await second.list()
            #expect(all.map(\.id.text) == ["chat-c3"])
            #expect(all.first?.state == .running)
        }
    }

    @Test func retentionKeepsTheNewestAndTheYoung() {
        func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
        let folders = [("a", at(10)), ("b", at(30)), ("c", at(20)), ("d", at(40))].map { (path: $0.0, lastWrite: $0.1) }
        #expect(ReplicaRetention(age: .seconds(100), count: 2).expired(folders, now: at(50)) == ["c", "a"])
        #expect(ReplicaRetention(age: .seconds(25), count: 9).expired(folders, now: at(50)) == ["c", "a"])
        #expect(ReplicaRetention(age: .seconds(40), count: 9).expired(folders, now: at(50)).isEmpty)
        // A clock set back expires nothing.
        #expect(ReplicaRetention(age: .seconds(1), count: 9).expired(folders, now: at(0)).isEmpty)
    }

    @Test func aLauncherThatIsDroppedEndsItsThreadAndLetsGoOfItsFolder() async throws {
        try await withWorld { world in
            do {
                let launcher = try world.makeLauncher()
                try await launcher.launch(world.request("chat-a1"))
                _ = try await launcher.listening("chat-a1")
            }
            // The thread may hold it for the length of a turn.
            let second = try await eventually("the folder to be free") { try? world.makeLauncher() }
            let replica = try await second.listening("chat-a1")
            #expect(replica.state == .running)
        }
    }
}

/// Runs a body in a world of local processes, which is torn down whatever happens.
func withLocalWorld(_ body: (LocalLauncherWorld) async throws -> Void) async throws {
    let world = try LocalLauncherWorld()
    do {
        try await body(world)
    } catch {
        await world.tearDown()
        throw error
    }
    await world.tearDown()
}
