import ArgumentParser
import ServingCUDA
import ServingJSON
import Terminal

/// `pbctl list-devices`: what the server asks for the machine's GPUs, in a process that ends with its answer.
struct ListDevicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-devices",
        abstract: "Write the GPUs that models can run on, as JSON.",
        discussion: """
            EXAMPLES:
              pbctl list-devices
            """,
        shouldDisplay: false)

    func run() async throws {
        var report = JSONObject([("gpus", .array([]))])
        do throws(CUDAError) {
            report["gpus"] = .array(try Self.gpus())
        } catch {
            report["problem"] = .string(error.description)
        }
        try TextOutput.standard.writeLine(JSONValue.object(report).text())
    }

    private static func gpus() throws(CUDAError) -> [JSONValue] {
        guard let driver = try CUDADriver.ifWanted() else { return [] }
        _ = try driver.firstUsableDevice()
        // All that a model needs has to be there, or its replicas would fail one by one.
        _ = try CUDALibraries()
        return try driver.devices().filter(\.isUsable).map { device in
            [
                "ordinal": .integer(Int64(device.ordinal)), "name": .string(device.name),
                "memoryBytes": .integer(Int64(device.memoryBytes)),
            ]
        }
    }
}
