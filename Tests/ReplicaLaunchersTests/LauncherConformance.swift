import Deployments
import Testing

@testable import ReplicaLaunchers

/// What the control plane relies on, whatever world the replicas live in.
@Suite struct LauncherConformance {
    @Test(arguments: LauncherKind.allCases)
    func aLaunchedReplicaRunsAndSaysWhereItListens(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            let request = try world.request("chat-a1", .serving)
            try await launcher.launch(request)
            let replica = try await launcher.listening("chat-a1")
            #expect(replica.state == .running)
            #expect(replica.deployment == request.deployment)
            #expect(replica.deploymentID == request.deploymentID)
            #expect(replica.revision == 3)
            #expect(replica.templateMark == "mark-1")
            #expect(!replica.isStopping)
            let all = try await launcher.list()
            #expect(all == [replica])
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aReplicaThatDoesNotListenRunsWithoutAnEndpoint(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", .silent))
            let replica = try #require(try await launcher.replica(ReplicaID("chat-a1")))
            #expect(replica.state == .running)
            #expect(replica.endpoint == nil)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aRepeatedLaunchChangesNothing(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            let request = try world.request("chat-a1", .serving)
            try await launcher.launch(request)
            let first = try await launcher.listening("chat-a1")
            try await launcher.launch(request)
            let second = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(second == first)
            try await launcher.stop(ReplicaID("chat-a1"), grace: .zero)
            _ = try await launcher.exit("chat-a1")
            try await launcher.launch(request)
            let third = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(third?.hasEnded == true)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aControlPlaneThatStartsAnewFindsItsReplicas(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let first = try await world.open()
            var request = try world.request("chat-a1", .serving)
            request.arguments += ["--device", "cuda:1"]
            try await first.launch(request)
            try await first.launch(world.request("chat-b2", StandIn(exitCode: 3)))
            let before = try await first.listening("chat-a1")
            #expect(before.device == .cuda(1))
            let exit = try await first.exit("chat-b2")
            await world.leave(first)
            let second = try await world.open()
            let after = try #require(try await second.replica(ReplicaID("chat-a1")))
            #expect(after == before)
            let exitAfter = try await second.exit("chat-b2")
            #expect(exitAfter == exit)
            #expect(exitAfter.code == 3)
            try await second.stop(ReplicaID("chat-a1"), grace: .seconds(60))
            _ = try await second.exit("chat-a1")
            try await second.forget(ReplicaID("chat-a1"))
            try await second.forget(ReplicaID("chat-b2"))
            let all = try await second.list()
            #expect(all.isEmpty)
            let remains = await world.remains()
            #expect(remains.isEmpty)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aReplicaIsGivenItsGraceToEnd(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", StandIn(drainMilliseconds: 300)))
            let replica = try await launcher.listening("chat-a1")
            try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(600))
            // Told again, with more time, which changes nothing.
            try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(1200))
            let stopping = try #require(try await launcher.replica(ReplicaID("chat-a1")))
            #expect(stopping.isStopping)
            #expect(stopping.processID == replica.processID || stopping.hasEnded)
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.code == 0)
            #expect(exit.signal == nil)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aReplicaThatWillNotEndIsKilledAfterItsGrace(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", .stubborn))
            _ = try await launcher.listening("chat-a1")
            try await launcher.stop(ReplicaID("chat-a1"), grace: .milliseconds(200))
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.signal == 9)
            #expect(exit.code == nil)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aShorterGraceReplacesALongerOne(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", .stubborn))
            _ = try await launcher.listening("chat-a1")
            try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(100_000))
            try await launcher.stop(ReplicaID("chat-a1"), grace: .zero)
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.signal == 9)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func stoppingWhatIsNotThereIsNoError(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.stop(ReplicaID("chat-none"), grace: .zero)
            try await launcher.forget(ReplicaID("chat-none"))
            let none = try await launcher.replica(ReplicaID("chat-none"))
            #expect(none == nil)
            try await launcher.launch(world.request("chat-a1", StandIn(exitCode: 0)))
            let exit = try await launcher.exit("chat-a1")
            try await launcher.stop(ReplicaID("chat-a1"), grace: .zero)
            let again = try await launcher.exit("chat-a1")
            #expect(again == exit)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aCrashIsToldWithItsCodeAndLastLines(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            let standIn = StandIn(lines: ["loading weights", "no room for the KV cache"], exitCode: 3)
            try await launcher.launch(world.request("chat-a1", standIn))
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.code == 3)
            #expect(exit.signal == nil)
            #expect(exit.lastLines == ["loading weights", "no room for the KV cache"])
            let replica = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(replica?.endpoint == nil)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aBadCommandEndsWithItsReason(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            var request = try world.request("chat-a1", .serving)
            request.arguments.append("--no-such-option")
            try await launcher.launch(request)
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.code == 64)
            #expect(exit.isFinal)
            #expect(exit.lastLines.last == "unknown option '--no-such-option'")
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func forgettingLeavesARunningReplicaAlone(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", .serving))
            let replica = try await launcher.listening("chat-a1")
            try await launcher.forget(ReplicaID("chat-a1"))
            let after = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(after == replica)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func aForgottenReplicaLeavesItsLogOnly(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", StandIn(lines: ["hello"], exitCode: 0)))
            _ = try await launcher.exit("chat-a1")
            try await launcher.forget(ReplicaID("chat-a1"))
            try await launcher.forget(ReplicaID("chat-a1"))
            let replica = try await launcher.replica(ReplicaID("chat-a1"))
            #expect(replica == nil)
            let lines = try await launcher.lines("chat-a1")
            #expect(lines == ["hello"])
            let remains = await world.remains()
            #expect(remains.isEmpty)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func twentyLaunchesAtATimeGiveTwentyReplicas(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    let request = try world.request("chat-\(number)", .serving)
                    // Twice each, as a control plane does that heard no answer.
                    for _ in 0..<2 { group.addTask { try await launcher.launch(request) } }
                }
                try await group.waitForAll()
            }
            for number in 0..<20 { _ = try await launcher.listening("chat-\(number)") }
            let all = try await launcher.list()
            #expect(all.count == 20)
            #expect(Set(all.compactMap(\.processID)).count == all.compactMap(\.processID).count)
            for replica in all { try await launcher.stop(replica.id, grace: .zero) }
            for replica in all { _ = try await launcher.exit(replica.id.text) }
            let remains = await world.remains()
            #expect(remains.isEmpty)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func changesTellOfLaunchEndpointStopAndEnd(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            let id = ReplicaID("chat-a1")
            var changes = launcher.changes().makeAsyncIterator()
            var others = launcher.changes().makeAsyncIterator()
            try await launcher.launch(world.request("chat-a1", .serving))
            let launched = await changes.next()
            #expect(launched == id)
            while try await launcher.replica(id)?.endpoint == nil { _ = await changes.next() }
            try await launcher.stop(id, grace: .seconds(60))
            while try await launcher.replica(id)?.hasEnded != true { _ = await changes.next() }
            let other = await others.next()
            #expect(other == id)
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func logsGiveAllLinesOrTheLast(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", StandIn(lines: ["one", "", "three"], exitCode: 0)))
            _ = try await launcher.exit("chat-a1")
            let all = try await launcher.lines("chat-a1")
            #expect(all == ["one", "", "three"])
            let last = try await launcher.lines("chat-a1", LogOptions(tail: 2))
            #expect(last == ["", "three"])
            let more = try await launcher.lines("chat-a1", LogOptions(tail: 99))
            #expect(more == all)
            let none = try await launcher.lines("chat-a1", LogOptions(tail: 0))
            #expect(none.isEmpty)
            await #expect(throws: LauncherError.self) { _ = try await launcher.lines("chat-none") }
        }
    }

    @Test(arguments: LauncherKind.allCases)
    func followedLogsEndWithTheReplica(kind: LauncherKind) async throws {
        try await kind.withWorld { world in
            let launcher = try await world.open()
            try await launcher.launch(world.request("chat-a1", StandIn(lines: ["first", "second"])))
            _ = try await launcher.listening("chat-a1")
            let lines = try await launcher.logs(ReplicaID("chat-a1"), LogOptions(follow: true))
            var texts: [String] = []
            for try await line in lines {
                texts.append(line.text)
                #expect(line.replica == ReplicaID("chat-a1"))
                if texts.count == 2 { try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(60)) }
            }
            #expect(texts.starts(with: ["first", "second"]))
        }
    }
}
