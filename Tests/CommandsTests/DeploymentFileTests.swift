import ControlAPI
import ServingJSON
import Testing

@testable import Commands

@Suite struct DeploymentFileTests {
    private func failure(_ text: String) -> CommandFailure? {
        do throws(CommandFailure) { _ = try DeploymentFile.all(text: text, path: "demo.yaml") } catch { return error }
        return nil
    }

    @Test func readsYAMLInEitherSpelling() throws {
        let files = try DeploymentFile.all(
            text: """
                apiVersion: pbctl/v1
                kind: Deployment
                name: demo
                description: for "tests"
                config:
                  base_model: ./m.gguf
                  maxReplicas: 4
                  preloadedAdapters: [a/1, b/2]
                ---
                name: other
                config: {baseModel: m, cooldown_time: 600}
                """, path: "demo.yaml")
        #expect(files.map(\.name) == ["demo", "other"])
        #expect(files[0].description == "for \"tests\"" && files[0].place == "demo.yaml:3")
        let config: JSONValue = ["baseModel": "./m.gguf", "maxReplicas": 4, "preloadedAdapters": ["a/1", "b/2"]]
        #expect(files[0].config == config.objectValue)
        #expect(files[1].config["cooldownTime"] == 600)
    }

    @Test func readsJSONAndLists() throws {
        let one = try DeploymentFile.all(text: "{\"name\":\"a\",\"config\":{\"baseModel\":\"m\"}}", path: "x")
        #expect(one.map(\.name) == ["a"])
        let list =
            "{\"items\":[{\"name\":\"a\",\"config\":{\"baseModel\":\"m\"}},{\"name\":\"b\",\"config\":{\"baseModel\":\"m\"}}]}"
        #expect(try DeploymentFile.all(text: list, path: "x").map(\.name) == ["a", "b"])
        let bare = "[{\"name\":\"a\",\"config\":{\"baseModel\":\"m\"}}]"
        #expect(try DeploymentFile.all(text: bare, path: "x").map(\.name) == ["a"])
    }

    @Test(
        arguments: [
            (
                "name: demo\nconfig:\n  baseModel: m\n  maxReplicas: 1000000000\n",
                "demo.yaml:4: config.maxReplicas 1000000000: "
            ),
            (
                "name: demo\nconfig:\n  baseModel: m\n  maxReplica: 1\n",
                "demo.yaml:4: unknown field config.maxReplica (did you mean maxReplicas?)"
            ),
            ("name: demo\nmaxReplicas: 2\n", "demo.yaml:2: unknown field maxReplicas (it belongs under config)"),
            ("name: demo\ndescripton: x\n", "demo.yaml:2: unknown field descripton (did you mean description?)"),
            ("name: Demo_1\nconfig: {baseModel: m}\n", "demo.yaml:1: deployment name \"Demo_1\""),
            ("apiVersion: v2\nname: a\n", "demo.yaml:1: apiVersion \"v2\": expected pbctl/v1"),
            ("kind: Service\nname: a\n", "demo.yaml:1: kind \"Service\": expected Deployment"),
            ("name: [1]\n", "demo.yaml:1: name [1]: expected a text"),
            ("just text\n", "demo.yaml:1: expected a deployment"),
            ("name: a\nconfig: 5\n", "demo.yaml:2: config: expected an object"),
            ("", "demo.yaml: there is no deployment in it"),
            (
                "name: a\nconfig:\n  baseModel: m\n  base_model: m\n",
                "demo.yaml:4: config.base_model: baseModel is there already"
            ),
            ("name: a\n---\nname: a\n", "demo.yaml: deployment \"a\" is there twice"), ("name: [\n", "demo.yaml:"),
            ("name: a\nconfig:\n  baseModel: m\n  minReplicas: two\n", "demo.yaml:4: config.minReplicas \"two\": "),
        ] as [(String, String)])
    func faultsNameFileLineFieldAndWhatWasExpected(_ text: String, _ start: String) {
        let failure = failure(text)
        #expect(failure?.message.hasPrefix(start) == true, "\(failure?.message ?? "none")")
        #expect(failure?.status == ExitStatus.dataError)
    }

    @Test func allFaultsAreToldAtOnce() {
        let message = failure("name: a\nconfig:\n  baseModel: m\n  minReplicas: -1\n  maxReplicas: 0\n")?.message ?? ""
        #expect(
            message.contains("demo.yaml:4: config.minReplicas") && message.contains("demo.yaml:5: config.maxReplicas"))
    }

    @Test func manifestsLeaveOutDefaultsAndSecretsAndAreReadBack() throws {
        var view = DeploymentFixtures.view()
        view.config["maxReplicas"] = 4
        view.config["hfToken"] = "***"
        view.description = "x: y"
        let yaml = DeploymentManifest.yaml(of: view)
        #expect(yaml.hasPrefix("# hfToken is kept by the server and not shown\n"))
        #expect(!yaml.contains("***") && !yaml.contains("minReplicas"))
        let files = try DeploymentFile.all(text: yaml, path: "x")
        #expect(files.count == 1 && files[0].name == "demo" && files[0].description == "x: y")
        #expect(files[0].config == JSONObject([("baseModel", "/models/m.gguf"), ("maxReplicas", 4)]))
    }

    @Test func applyingSendsOnlyWhatDiffersAndTakesDefaultsBack() throws {
        var current = DeploymentFixtures.view().config
        current["maxReplicas"] = 4
        current["quantization"] = "none"
        current["maxTotalTokens"] = 100
        current["hfToken"] = "***"
        let file = JSONObject([("baseModel", "/models/m.gguf"), ("minReplicas", 1)])
        let whole = try DesiredConfig.whole(file, current: current)
        let update = DesiredConfig.update(from: current, to: whole)
        #expect(
            update
                == JSONObject([("minReplicas", 1), ("maxReplicas", 1), ("quantization", ""), ("maxTotalTokens", 0)]))
        #expect(DesiredConfig.update(from: whole, to: whole).isEmpty)
        #expect(try DesiredConfig.whole(JSONObject(), current: current)["baseModel"] == "/models/m.gguf")
    }
}
