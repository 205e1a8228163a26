import Foundation
import Glibc

/// One run of the pbctl that was built with the tests.
struct ProgramRun {
    let status: Int32
    let output: String
    let error: String

    /// The program beside the test bundle.
    static let program: String? = {
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("pbctl").path
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }()

    /// Runs it to its end in an environment of its own.
    /// - Parameter interruptedAfter: sends SIGINT after so much of the answer has been read.
    init(
        _ arguments: [String], input: Data = Data(), environment: [String: String] = [:],
        interruptedAfterBytes limit: Int? = nil
    ) throws {
        let home = FileManager.default.temporaryDirectory.appendingPathComponent("pbctl-home-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: home) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program ?? "/nonexistent/pbctl")
        process.arguments = arguments
        // Without a GPU, also where there is one: what is expected are the processor's answers.
        process.environment = ["PBCTL_HOME": home.path, "PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""].merging(
            environment
        ) { $1 }
        let inputFile = FileManager.default.temporaryDirectory.appendingPathComponent("pbctl-in-\(UUID().uuidString)")
        let errorFile = FileManager.default.temporaryDirectory.appendingPathComponent("pbctl-err-\(UUID().uuidString)")
        try input.write(to: inputFile)
        try Data().write(to: errorFile)
        defer {
            try? FileManager.default.removeItem(at: inputFile)
            try? FileManager.default.removeItem(at: errorFile)
        }
        let output = Pipe()
        process.standardInput = try FileHandle(forReadingFrom: inputFile)
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: errorFile)
        try process.run()
        var bytes = Data()
        var wasInterrupted = false
        while case let chunk = output.fileHandleForReading.availableData, !chunk.isEmpty {
            bytes += chunk
            if let limit, bytes.count >= limit, !wasInterrupted {
                wasInterrupted = true
                kill(process.processIdentifier, SIGINT)
            }
        }
        process.waitUntilExit()
        // A process that a signal ended counts as a shell would count it.
        status =
            process.terminationReason == .uncaughtSignal ? 128 + process.terminationStatus : process.terminationStatus
        self.output = String(decoding: bytes, as: UTF8.self)
        error = String(decoding: try Data(contentsOf: errorFile), as: UTF8.self)
    }

    init(_ arguments: [String], input: String) throws { try self.init(arguments, input: Data(input.utf8)) }

    /// Whether standard error holds one line from pbctl and nothing else.
    var complainsOnOneLine: Bool {
        error.hasPrefix("pbctl: ") && error.hasSuffix("\n") && error.split(separator: "\n").count == 1
    }
}

/// The sample model of `scripts/fetch-sample-model`.
enum SampleModelFile {
    static let path: String? = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "") + "/.cache"
        let places = [
            environment["PBCTL_SAMPLE_MODEL"], cache + "/pbctl/sample-model/SmolLM2-135M-Instruct.Q4_1.gguf",
        ]
        return places.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0) }
    }()
}
