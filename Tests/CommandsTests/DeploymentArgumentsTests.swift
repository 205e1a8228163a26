import ArgumentParser
import ControlAPI
import Deployments
import Glibc
import ServingJSON
import Testing

@testable import Commands

@Suite struct DeploymentArgumentsTests {
    @Test(
        arguments: [
            ("90", 90_000), ("30s", 30_000), ("10m", 600_000), ("1h30m", 5_400_000), ("2d", 172_800_000),
            ("500ms", 500),
            ("1.5h", 5_400_000), ("0", 0), ("1m30s", 90_000),
        ] as [(String, Int64)]) func durationsAsPeopleWriteThem(_ text: String, _ milliseconds: Int64)
    {
        #expect(DurationText(argument: text)?.duration == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "m", "10x", "-5", "1h-2m", "s10", "1..5s", "99999999999d", "1e9", "10 m", "ten", "1m m"])
    func refusesWhatIsNoDuration(_ text: String) {
        #expect(DurationText(argument: text) == nil)
    }

    @Test func durationsAreShownInTwoParts() {
        let texts = [0, 45, 60, 3725, 90_000, 864_000].map { DurationText.text(.seconds($0)) }
        #expect(texts == ["0s", "45s", "1m", "1h2m", "1d1h", "10d"])
    }

    private func scale(_ words: String...) throws -> ScaleRequest {
        let command = try #require(try PbctlCommand.parseAsRoot(["scale"] + words) as? ScaleCommand)
        return try command.request().request
    }

    @Test func scaleTakesNumbersDifferencesLimitsAndAuto() throws {
        #expect(try scale("demo", "3") == .replicas(3))
        #expect(try scale("demo", "0") == .replicas(0))
        #expect(try scale("demo", "+2") == .delta(2))
        #expect(try scale("demo", "-1") == .delta(-1))
        #expect(try scale("demo", "--no-wait", "-2") == .delta(-2))
        #expect(try scale("demo", "--auto") == .automatic)
        #expect(
            try scale("demo", "--min", "0", "--max", "4", "--cooldown", "10m", "--threshold", "8")
                == .limits(
                    ScaleLimits(minReplicas: 0, maxReplicas: 4, cooldownTime: 600, scaleUpRequestThreshold: 8)))
    }

    @Test(arguments: [
        ["demo"], [], ["demo", "three"], ["demo", "3", "4"], ["demo", "3", "--auto"], ["demo", "--auto", "--min", "1"],
        ["Demo!", "3"], ["demo", "3.5"], ["demo", "--fast"], ["demo", "++1"], ["demo", "99999999999999999999"],
    ]) func scaleRefusesWhatIsUnclear(_ words: [String]) {
        #expect(throws: (any Error).self) {
            let command = try PbctlCommand.parseAsRoot(["scale"] + words) as? ScaleCommand
            _ = try command?.request()
        }
    }

    @Test func autoscaleTakesADeploymentWithoutASubcommand() throws {
        let command = try PbctlCommand.parseAsRoot(["autoscale", "demo", "--show"])
        #expect((command as? AutoscaleShowCommand)?.deployment.name == "demo")
        #expect(SpellingHint.forMistypedCommand(["autoscale", "demo"], root: PbctlCommand.self) == nil)
        #expect(SpellingHint.forMistypedCommand(["rollout", "histroy"], root: PbctlCommand.self) != nil)
    }

    @Test func everyFieldCanBeSet() throws {
        func value(_ text: String) throws -> (String, JSONValue) {
            let assignment = try #require(FieldAssignment(argument: text))
            return (try assignment.wireName(), try assignment.value())
        }
        for (text, field, expected) in [
            ("maxTotalTokens=4096", "maxTotalTokens", 4096), ("max_total_tokens=4096", "maxTotalTokens", 4096),
            ("prefixCaching=false", "prefixCaching", false), ("baseModel=123", "baseModel", "123"),
            ("preloadedAdapters=a/1,b/2", "preloadedAdapters", ["a/1", "b/2"]),
            ("customArgs=[\"--x\",\"a,b\"]", "customArgs", ["--x", "a,b"]), ("quantization=", "quantization", ""),
            ("maxTotalTokens=", "maxTotalTokens", 0), ("cooldownTime=10m", "cooldownTime", 600),
            ("minReplicas=lots", "minReplicas", "lots"), ("hfToken=a=b", "hfToken", "a=b"),
            ("computeSpec={\"region\":\"x\"}", "computeSpec", ["region": "x"]),
        ] as [(String, String, JSONValue)] {
            let (name, json) = try value(text)
            #expect(name == field && json == expected, "\(text)")
        }
        for field in DeploymentConfigField.allCases {
            #expect(try value("\(field.wireName)=").0 == field.wireName)
        }
        #expect(FieldAssignment(argument: "novalue") == nil && FieldAssignment(argument: "=x") == nil)
        #expect(throws: CommandFailure.self) { try value("maxReplica=1") }
        #expect(throws: (any Error).self) { try value("hfToken=@/nowhere/at/all") }
    }

    @Test func pathsBecomeWholeOnThisMachine() throws {
        let folder = try TemporaryFolder()
        folder.write("model.gguf", "x")
        let anchor = PathAnchor(folder: folder.path)
        let given: JSONValue = [
            "baseModel": "model.gguf", "preloadedAdapters": ["./a", "tone/1", "hf:o/n", "/abs"], "other": "model.gguf",
        ]
        let config = try #require(given.objectValue)
        let anchored = anchor.anchored(config)
        #expect(anchored["baseModel"] == .string(folder.path + "/model.gguf"))
        #expect(anchored["preloadedAdapters"] == [.string(folder.path + "/a"), "tone/1", "hf:o/n", "/abs"])
        #expect(anchored["other"] == "model.gguf")
        #expect(PathAnchor(folder: nil).anchored(config) == config)
    }

    @Test func namesAreCompletedFromTheLastThatWereSeen() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/cache/deployment-names"
        #expect(DeploymentNames.known(at: path).isEmpty)
        DeploymentNames.keep(["b", "a", "a"], at: path)
        #expect(DeploymentNames.known(at: path) == ["a", "b"])
        DeploymentNames.keep(DeploymentFixtures.view(.ready, name: "c"), at: path)
        DeploymentNames.keep(DeploymentFixtures.view(.deleted, name: "a"), at: path)
        #expect(DeploymentNames.known(at: path) == ["b", "c"])
        // Where nothing can be written, nothing happens.
        DeploymentNames.keep(["x"], at: "/proc/nowhere/names")
    }

    @Test func formatsAreReadOrRefused() {
        #expect(OutputFormat(argument: "wide") == .wide && OutputFormat(argument: "xml") == nil)
        #expect(OutputFormat(argument: "jsonpath={.a") == nil)
        #expect(OutputFormat(argument: "jsonpath={.a}") == (try? JSONPath("{.a}")).map { .jsonPath($0) })
    }

    @Test func deployNeedsANameAndAModelOrAFile() throws {
        for words in [["deploy"], ["deploy", "demo"], ["deploy", "--model", "m"]] {
            #expect(throws: (any Error).self) { try PbctlCommand.parseAsRoot(words) }
        }
        for words in [
            ["deploy", "demo", "-m", "m"], ["deploy", "-f", "x.yaml"], ["deploy", "demo", "--set", "baseModel=m"],
        ] {
            #expect(throws: Never.self) { try PbctlCommand.parseAsRoot(words) }
        }
    }
}

/// A folder that goes with the value.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/pbctl-commands-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit { system("rm -rf '\(path)'") }

    func write(_ name: String, _ text: String) {
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
        close(file)
    }
}
