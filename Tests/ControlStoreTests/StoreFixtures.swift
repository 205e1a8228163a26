import ControlStore
import Deployments
import Foundation
import ServingJSON
import Synchronization
import Testing

/// A folder that goes with its test.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("pbctl-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    func files() throws -> Set<String> { Set(try FileManager.default.contentsOfDirectory(atPath: path)) }

    func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: self(name)))) }

    func write(_ bytes: [UInt8], to name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: self(name)))
    }

    func permissions(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: self(name))
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }
}

/// A clock that only moves when told to.
final class ManualClock: ControlClock {
    private let moment: Mutex<Int64>

    init(_ milliseconds: Int64) { moment = Mutex(milliseconds) }

    func now() -> Timestamp { Timestamp(milliseconds: moment.withLock { $0 }) }
    func advance(_ milliseconds: Int64) { moment.withLock { $0 += milliseconds } }
}

/// Numbers that are the same in each run (splitmix64).
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Python, which the tests need anyway, as another program that uses the file.
final class OtherProgram {
    private let process = Process()
    private let input = Pipe()

    /// Starts a script with arguments and waits until it has printed a line.
    init(_ script: String, _ arguments: String...) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = output.fileHandleForReading.availableData
        try #require(!line.isEmpty, "the script ended before it was ready")
    }

    /// Runs a script to its end.
    static func run(_ script: String, _ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    /// Ends it at once, as a crash would.
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    deinit { if process.isRunning { kill() } }
}

enum Sample {
    static func spec(_ name: String, id: String? = nil) throws -> DeploymentSpec {
        var config = DeploymentConfig(baseModel: "/models/tiny")
        config.maxReplicas = 3
        config.customArguments = ["--a", "ü \"quoted\""]
        return DeploymentSpec(
            name: try DeploymentName(name), id: id ?? "id-\(name)", description: "für \(name)", config: config,
            createdAt: Timestamp(milliseconds: 1_700_000_000_000))
    }

    static func event(_ spec: DeploymentSpec, _ reason: String, at: Int64 = 1_700_000_000_000) -> DeploymentEvent {
        DeploymentEvent(
            deploymentID: spec.id, deployment: spec.name, at: Timestamp(milliseconds: at), severity: .warning,
            reason: reason, message: "something's \(reason)", data: JSONObject([("count", 3)]))
    }

    static func replica(_ id: String, of spec: DeploymentSpec, launched: Int64 = 1) -> ReplicaRecord {
        ReplicaRecord(
            id: ReplicaID(id), deploymentID: spec.id, templateMark: "mark", revision: spec.revision,
            launchedAt: Timestamp(milliseconds: launched))
    }

    static let condition = DeploymentCondition(.ready, reason: "ReplicasReady", message: "1 of 1 replicas answer")
}
