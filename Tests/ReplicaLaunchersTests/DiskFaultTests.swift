import Deployments
import Glibc
import Testing

@testable import ReplicaLaunchers

/// A small disk of a test's own. Needs the right to mount; tests of it show as skipped elsewhere.
final class SmallDisk: Sendable {
    let path: String

    static let isPermitted: Bool = {
        guard let folder = try? ScratchFolder() else { return false }
        guard mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 else { return false }
        return umount2(folder.path, Int32(MNT_DETACH)) == 0
    }()

    /// Lies over what is at the path already.
    init(at path: String, isReadOnly: Bool = false) throws {
        try LauncherFiles.makeFolders(path)
        try #require(mount("tmpfs", path, "tmpfs", isReadOnly ? UInt(MS_RDONLY) : 0, "size=64k") == 0)
        self.path = path
    }

    /// Takes all that is free.
    func fill() {
        let file = open(path + "/ballast", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        _ = LauncherFiles.writeAll([UInt8](repeating: 1, count: 1 << 18), to: file)
        for _ in 0..<4096 where write(file, "x", 1) == 1 {}
        close(file)
    }

    func free() { unlink(path + "/ballast") }

    deinit { umount2(path, Int32(MNT_DETACH)) }
}

@Suite(.enabled(if: SmallDisk.isPermitted, "needs the right to mount a small disk"))
struct DiskFaultTests {
    /// `isLate`: the disk fills up after the intent was written and the process started.
    @Test(arguments: [false, true]) func aFullDiskRefusesALaunchAndLeavesNoProcess(isLate: Bool) async throws {
        try await withLocalWorld { world in
            let disk = try SmallDisk(at: world.folder)
            let launcher = try world.makeLauncher(interruption: { step in
                if isLate, step == .processStarted { disk.fill() }
                return false
            })
            if !isLate { disk.fill() }
            let error = await #expect(throws: LauncherError.self) {
                try await launcher.launch(world.request("chat-a1"))
            }
            #expect(error?.code == .cannotWrite)
            #expect(error?.isRetryable == true)
            #expect(error?.message.contains("free some space") == true)
            #expect(world.processes.isEmpty)
            let all = try await launcher.list()
            #expect(all.isEmpty)
            #expect(LauncherFiles.names(in: world.folder).sorted() == [".lock", "ballast"])
            disk.free()
            guard !isLate else { return }
            try await launcher.launch(world.request("chat-a1"))
            _ = try await launcher.listening("chat-a1")
        }
    }

    @Test func aReplicaOnAFullDiskEndsAndIsSeenToEnd() async throws {
        try await withLocalWorld { world in
            let disk = try SmallDisk(at: world.folder)
            let launcher = try world.makeLauncher()
            try await launcher.launch(world.request("chat-a1", StandIn(lines: ["hello"])))
            _ = try await launcher.listening("chat-a1")
            disk.fill()
            try await launcher.stop(ReplicaID("chat-a1"), grace: .seconds(60))
            let exit = try await launcher.exit("chat-a1")
            #expect(exit.code == 0)
            #expect(exit.lastLines.first == "hello")
            try await launcher.forget(ReplicaID("chat-a1"))
            let all = try await launcher.list()
            #expect(all.isEmpty)
        }
    }

    @Test func aFolderThatCannotBeWrittenIsSaid() async throws {
        try await withLocalWorld { world in
            let launcher = try world.makeLauncher()
            let disk = try SmallDisk(at: world.folder, isReadOnly: true)
            defer { withExtendedLifetime(disk) {} }
            let error = await #expect(throws: LauncherError.self) {
                try await launcher.launch(world.request("chat-a1"))
            }
            #expect(error?.code == .cannotWrite)
            #expect(error?.message.contains(world.folder) == true)
            #expect(world.processes.isEmpty)
            await launcher.close()
            #expect(throws: LauncherError.self) { try world.makeLauncher() }
        }
    }

    @Test func aFolderThatCannotBeMadeIsSaid() throws {
        let world = try LocalLauncherWorld()
        try world.scratch.write("", to: "replicas")
        let error = #expect(throws: LauncherError.self) { try world.makeLauncher() }
        #expect(error?.code == .cannotWrite)
    }
}
