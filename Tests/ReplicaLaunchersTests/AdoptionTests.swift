import Deployments
import Glibc
import ServingJSON
import Testing

@testable import ReplicaLaunchers

/// What a launcher makes of a folder that an earlier one left in whatever state.
@Suite struct AdoptionTests {
    @Test(arguments: LocalLauncher.LaunchStep.allCases)
    func aServerThatDiesWithinALaunchLosesNoProcess(step: LocalLauncher.LaunchStep) async throws {
        try await withLocalWorld { world in
            let first = try world.makeLauncher(interruption: { $0 == step })
            await #expect(throws: LauncherError.self) { try await first.launch(world.request("chat-a1")) }
            await first.close()
            let second = try world.makeLauncher()
            let replica = try #require(try await second.replica(ReplicaID("chat-a1")))
            #expect(replica.templateMark == "mark-1")
            if step == .intentWritten {
                let exit = try await second.exit("chat-a1")
                #expect(exit.code == nil && exit.signal == nil)
                #expect(exit.lastLines.last == "the server ended while it started this replica")
            } else {
                #expect(replica.state == .running)
                let listening = try await second.listening("chat-a1")
                #expect(world.processes.contains { $0.process.pid == listening.processID })
                // The record is whole now: the next one needs no mark.
                let record = try ReplicaFolder(ReplicaID("chat-a1"), in: world.folder).record()
                #expect(record?.process?.pid == listening.processID)
                try await second.stop(ReplicaID("chat-a1"), grace: .seconds(60))
                let exit = try await second.exit("chat-a1")
                #expect(exit.code == 0)
            }
            // The control plane repeats the launch of an id that it wrote down: no second process.
            try await second.launch(world.request("chat-a1"))
            #expect(world.processes.isEmpty)
        }
    }

    /// The same with a process of its own for the server, which is killed indeed: the replica is nobody's child then.
    @Test(arguments: LocalLauncher.LaunchStep.allCases)
    func aServerThatIsKilledWithinALaunchLosesNoProcess(step: LocalLauncher.LaunchStep) async throws {
        try await withLocalWorld { world in
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = world.scratch.path as String, text = "\(step)"] in
                let world = LocalLauncherWorld(existing: path)
                let launcher = try world.makeLauncher(interruption: { "\($0)" == text && kill(getpid(), SIGKILL) == 0 })
                try await launcher.launch(world.request("chat-a1", StandIn(lines: ["hello"])))
            }
            let launcher = try world.makeLauncher()
            if step != .intentWritten {
                let replica = try await launcher.listening("chat-a1")
                #expect(replica.state == .running)
                #expect(world.processes.contains { $0.process.pid == replica.processID })
                try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(60))
            }
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.code == nil && exit.signal == nil)
            if step != .intentWritten { #expect(exit.lastLines.first == "hello") }
            #expect(world.processes.isEmpty)
        }
    }

    @Test func aProcessThatNoRecordKnowsIsKilled() async throws {
        try await withLocalWorld { world in
            let first = try world.makeLauncher()
            try await first.launch(world.request("chat-a1"))
            try await first.launch(world.request("chat-b2"))
            _ = try await first.listening("chat-a1")
            _ = try await first.listening("chat-b2")
            await first.close()
            LauncherFiles.remove(world.folder + "/chat-a1")
            let second = try world.makeLauncher()
            _ = try await eventually("the orphan to end") {
                world.processes.contains { $0.id.text == "chat-a1" } ? nil : true
            }
            let all = try await second.list()
            #expect(all.map(\.id.text) == ["chat-b2"])
            #expect(all.first?.state == .running)
        }
    }

    @Test func processesOfAnotherFolderAreLeftAlone() async throws {
        try await withLocalWorld { other in
            let neighbour = try other.makeLauncher()
            try await neighbour.launch(other.request("chat-a1"))
            let before = try await neighbour.listening("chat-a1")
            try await withLocalWorld { world in
                let launcher = try world.makeLauncher()
                let all = try await launcher.list()
                #expect(all.isEmpty)
            }
            let after = try await neighbour.replica(ReplicaID("chat-a1"))
            #expect(after == before)
        }
    }

    @Test func aReplicaThatEndedWhileNobodyWatchedHasAnUnknownExit() async throws {
        try await withLocalWorld { world in
            let first = try world.makeLauncher()
            try await first.launch(world.request("chat-a1", StandIn(lines: ["said before"])))
            let pid = try #require(try await first.listening("chat-a1").processID)
            await first.close()
            kill(-pid, SIGKILL)
            // As the system's first process does for those whose parent is gone.
            _ = try await eventually("the process to be reaped") { ReplicaProcess.reap(pid) == nil ? nil : true }
            let second = try world.makeLauncher()
            let exit = try await second.exit("chat-a1")
            #expect(exit.code == nil && exit.signal == nil && !exit.isFinal)
            #expect(exit.lastLines == ["said before"])
            await second.close()
            let third = try world.makeLauncher()
            let again = try await third.exit("chat-a1")
            #expect(again == exit)
        }
    }

    /// A process id that came round: the record names the id of a process that is none of ours.
    @Test(arguments: [true, false]) func aStrangerWithTheSameIDIsNeverSignalled(isOtherBoot: Bool) async throws {
        try await withLocalWorld { world in
            let stranger = try ReplicaProcess.start("/bin/sleep", ["1000"], environment: [], log: 2)
            defer { ReplicaProcess.destroy(stranger) }
            var identity = try #require(ProcessIdentity(of: stranger))
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", StandIn(exitCode: 0)))
            _ = try await launcher.exit("chat-a1")
            await launcher.close()
            let files = try ReplicaFolder(ReplicaID("chat-a1"), in: world.folder)
            unlink(files.exitPath)
            if isOtherBoot { identity.bootID = "0000" } else { identity.startTicks -= 1 }
            var record = try #require(try files.record())
            record.process = identity
            try files.write(record)
            let second = try world.makeLauncher()
            let exit = try await second.exit("chat-a1")
            #expect(exit.code == nil)
            try await second.stop(ReplicaID("chat-a1"), grace: .zero)
            ReplicaProcess.signal(identity, -1, SIGKILL)
            try await second.forget(ReplicaID("chat-a1"))
            #expect(ProcessIdentity(of: stranger)?.presence == .running)
        }
    }

    @Test(arguments: ["", "{", "null", "[]", "{\"id\":\"chat-b2\"}", "\u{0}\u{0}\u{0}", "folder"])
    func aRecordThatCannotBeReadIsForgottenAndItsProcessKilled(content: String) async throws {
        try await withLocalWorld { world in
            let first = try world.makeLauncher()
            try await first.launch(world.request("chat-a1", StandIn(lines: ["kept"])))
            _ = try await first.listening("chat-a1")
            await first.close()
            let path = world.folder + "/chat-a1/replica.json"
            unlink(path)
            if content == "folder" {
                mkdir(path, 0o700)
            } else {
                try world.scratch.write(content, to: "replicas/chat-a1/replica.json")
            }
            let second = try world.makeLauncher()
            let all = try await second.list()
            #expect(all.isEmpty)
            _ = try await eventually("its process to end") { world.processes.isEmpty ? true : nil }
            let lines = try await second.lines("chat-a1")
            #expect(lines == ["kept"])
        }
    }

    @Test func whatAReplicaSaysOfItsEndpointIsWaitedForUntilItMakesSense() async throws {
        try await withLocalWorld { world in
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", .silent))
            let path = "replicas/chat-a1/ready.json"
            for content in [
                "", "{", "7", "{\"port\":80}", "{\"host\":\"\",\"port\":80}", "{\"host\":\"h\",\"port\":0}",
                "{\"host\":\"h\",\"port\":65536}", "{\"host\":\"h\",\"port\":\"80\"}", "{\"host\":7,\"port\":80}",
                String(repeating: " ", count: 5000) + "{\"host\":\"h\",\"port\":80}",
            ] {
                try world.scratch.write(content, to: path)
                let replica = try await launcher.replica(ReplicaID("chat-a1"))
                #expect(replica?.state == .running)
                #expect(replica?.endpoint == nil)
            }
            try world.scratch.write("{\"pid\":1,\"host\":\"::1\",\"port\":8080}", to: path)
            let replica = try await launcher.listening("chat-a1")
            #expect(replica.endpoint == ReplicaEndpoint(host: "::1", port: 8080))
        }
    }

    @Test func strangeThingsInTheFolderAreNoReplicas() async throws {
        try await withLocalWorld { world in
            try LauncherFiles.makeFolders(world.folder + "/empty-folder")
            try LauncherFiles.makeFolders(world.folder + "/-_.")
            try world.scratch.write("x", to: "replicas/a-file")
            symlink("/", world.folder + "/a-link")
            let launcher = try world.makeLauncher(retention: ReplicaRetention(count: 0))
            let all = try await launcher.list()
            #expect(all.isEmpty)
            _ = try await eventually("folders to go") {
                LauncherFiles.status(world.folder + "/empty-folder") == nil ? true : nil
            }
            #expect(LauncherFiles.status(world.folder + "/a-file") != nil)
            #expect(LauncherFiles.status(world.folder + "/a-link") != nil)
        }
    }

    @Test func aRecordReadsBackAsWritten() throws {
        var record = ReplicaRecord(
            try request("chat-\u{e9}", ["engine", "serve", "a \"b\"\n\u{1F600}"]), arguments: ["x"],
            launchedAt: Timestamp(milliseconds: 1_795_000_000_123))
        #expect(ReplicaRecord(record.json) == record)
        record.process = ProcessIdentity(pid: 4_194_304, startTicks: .max, bootID: "b")
        let text = record.json.text()
        #expect(ReplicaRecord(try JSONValue(parsing: text)) == record)
    }

    @Test func theEntryOfAProcessIsReadWhateverItsName() {
        let fields = "S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 1000"
        for name in ["sleep", "a b", "x) R 9 9 9", "(((", "\u{1F600}"] {
            let entry = ProcessEntry(stat: Array("77 (\(name)) \(fields)\n".utf8))
            #expect(entry?.session == 42)
            #expect(entry?.startTicks == 987_654_321)
            #expect(entry?.hasEnded == false)
        }
        for text in ["", "77", "77 (x)", "77 (x) S 1 2 3", "77 (x) S a b c d e f g h i j k l m n o p q r s"] {
            #expect(ProcessEntry(stat: Array(text.utf8)) == nil)
        }
    }

    @Test func aMarkIsReadFromAnEnvironmentOnlyForItsFolder() {
        func mark(_ variables: [String]) -> String? {
            ProcessMark.replica(environment: Array(variables.joined(separator: "\u{0}").utf8), "/r")?.text
        }
        #expect(mark(["A=1", "PBCTL_REPLICA_ID=chat-a1", "PBCTL_REPLICA_FOLDER=/r"]) == "chat-a1")
        #expect(mark(["PBCTL_REPLICA_FOLDER=/r", "PBCTL_REPLICA_ID=chat-a1"]) == "chat-a1")
        #expect(mark(["PBCTL_REPLICA_ID=chat-a1", "PBCTL_REPLICA_FOLDER=/r2"]) == nil)
        #expect(mark(["PBCTL_REPLICA_ID=chat-a1", "XPBCTL_REPLICA_FOLDER=/r"]) == nil)
        #expect(mark(["PBCTL_REPLICA_FOLDER=/r"]) == nil)
        #expect(mark([]) == nil)
    }
}
