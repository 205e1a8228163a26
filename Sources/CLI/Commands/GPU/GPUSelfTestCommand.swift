import ArgumentParser
import ServingCUDA
import ServingDiagnostics
import ServingJSON
import ServingModels
import ServingTensors
import Terminal

/// `pbctl gpu selftest`
struct GPUSelfTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest",
        abstract: "Compare what a GPU computes with the processor's results.",
        discussion: """
            Runs every kernel on fixed random numbers, with weights as float32, bfloat16 and float16, and a small model end
            to end; with --model also that one. An error is the largest difference, as a share of the largest result. Ends
            with status 1 where one is over its limit.

            EXAMPLES:
              pbctl gpu selftest
              pbctl gpu selftest --device cuda:1 -m model.gguf
            """)

    @OptionGroup var gpu: GPUOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A GGUF file, a Hugging Face folder or a pulled model.", valueName: "model"),
        completion: .file())
    var model: String?

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let device = try gpu.open()
        let description = try model.map { try GPUSelfTest.model(at: ModelOptions.path(of: $0)) }
        // Tokens of no meaning: which does not matter for a comparison.
        let tokens = (1...24).map { TokenID($0 * 37 % (description?.config.vocabularyCount ?? 1)) }
        if output == .text {
            try TextOutput.standard.writeLine(
                "\(device.name), compute capability \(device.capability / 10).\(device.capability % 10)")
        }
        var findings: [GPUSelfTest.Finding] = []
        let test = try GPUSelfTest(device, cacheFolder: GPUOptions.kernelFolder())
        let isGood = try test.run(model: description.map { ($0, tokens) }) { finding in
            findings.append(finding)
            if output == .text { try TextOutput.standard.writeLine(Self.line(finding)) }
        }
        if output == .json {
            try TextOutput.standard.writeLine(
                JSONValue.array(findings.map(Self.json)).text(style: .pretty))
        }
        let failed = findings.filter { !$0.isGood }.count
        if !isGood { throw CommandFailure("\(failed) of \(findings.count) checks failed on \(device.name)") }
        if output == .text { try TextOutput.standard.writeLine("all \(findings.count) checks are good") }
    }

    private static func line(_ finding: GPUSelfTest.Finding) -> String {
        let state = finding.isGood ? "ok" : "FAILED"
        let error = finding.failure ?? "\(scientific(finding.error)) (limit \(scientific(finding.limit)))"
        return "\(state + String(repeating: " ", count: 7 - state.count))\(finding.element) \(finding.name): \(error)"
    }

    /// Two digits and a power of ten.
    private static func scientific(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return value == 0 ? "0" : "not finite" }
        var (mantissa, exponent) = (value, 0)
        while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        return "\(mantissa.formatted(decimals: 1))e\(exponent)"
    }

    private static func json(_ finding: GPUSelfTest.Finding) -> JSONValue {
        [
            "check": .string(finding.name), "weights": .string("\(finding.element)"),
            "error": finding.error.isFinite ? .number(finding.error) : .null, "limit": .number(finding.limit),
            "ok": .bool(finding.isGood), "failure": finding.failure.map { .string($0) } ?? .null,
        ]
    }
}
