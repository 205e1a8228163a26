import Foundation
import HTTPServing
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import ServingJSON
import Synchronization
import Testing

@testable import ReplicaServer

@Suite("A replica that loads its model", .timeLimit(.minutes(10))) struct StageTests {
    private struct NoModel: Error, Equatable {}

    @Test("While the model is loaded, health checks read how far it is and the rest is refused in its own form")
    func loading() async throws {
        let stage = ReplicaStage()
        stage.advance(to: 0.429)
        stage.advance(to: 0.2)
        let application = Application(responder: StagedResponder(stage: stage, apiKey: APIKey("secret")))
        try await application.test(.router) { client in
            for path in ["/", "/health", "/ping"] {
                let answer = try await client.execute(uri: path, method: .get)
                #expect(answer.status == .serviceUnavailable && answer.headers[.retryAfter] == "1")
                #expect(String(buffer: answer.body) == #"{"status":"loading","percent":42}"#)
            }
            let key: HTTPFields = [.authorization: "Bearer secret", .contentType: "application/json"]
            let native = try await client.execute(uri: "/generate", method: .post, headers: key)
            #expect(native.status == .serviceUnavailable && native.headers[.retryAfter] == "1")
            #expect(
                String(buffer: native.body) == #"{"error":"The model is loading (42 %)","error_type":"loading"}"#)
            let openAI = try await client.execute(uri: "/v1/models", method: .get, headers: key)
            #expect(openAI.status == .serviceUnavailable)
            #expect(try JSONValue(parsing: String(buffer: openAI.body))["error"]?["code"] == "loading")
            let stranger = try await client.execute(uri: "/v1/models", method: .get)
            #expect(stranger.status == .unauthorized)
            let head = try await client.execute(uri: "/health", method: .head)
            #expect(head.status == .serviceUnavailable && head.body.readableBytes == 0)
        }
    }

    @Test("Once the model is loaded the routes answer, and only then it is at 100 %")
    func loaded() async throws {
        let stage = ReplicaStage()
        stage.advance(to: 7)
        #expect(stage.percent == 99)
        stage.serve(ReplicaResponder(model: ScriptedModel(), configuration: ReplicaConfiguration()), keeping: nil)
        stage.advance(to: 0.5)
        #expect(stage.percent == 100)
        try await Application(responder: StagedResponder(stage: stage, apiKey: nil)).test(.router) { client in
            let answer = try await client.execute(uri: "/health", method: .get)
            #expect(answer.status == .ok)
        }
    }

    @Test("A draining server's health check says so in words and as LoRAX does")
    func draining() async throws {
        let service = ReplicaService(ScriptedModel(), ReplicaConfiguration())
        service.admission.startDraining()
        try await Application(responder: ReplicaResponder(service)).test(.router) { client in
            let answer = try await client.execute(uri: "/health", method: .get)
            #expect(answer.status == .serviceUnavailable)
            #expect(
                String(buffer: answer.body)
                    == #"{"error":"unhealthy","error_type":"healthcheck","status":"draining"}"#)
        }
    }

    @Test("A load that fails ends the server with its error, after it has listened")
    func failure() async throws {
        let port = Mutex(0)
        let server = ReplicaServer(configuration: ReplicaConfiguration(port: 0))
        await #expect(throws: NoModel()) {
            try await server.run { _ in
                throw NoModel()
            } onEvent: { event in
                if case .listening(let number) = event { port.withLock { $0 = number } }
            }
        }
        #expect(port.withLock { $0 } > 0)
    }

    @Test("A server whose start can't be told ends before it loads the model")
    func unwritableReadyFile() async throws {
        let server = ReplicaServer(configuration: ReplicaConfiguration(port: 0))
        await #expect(throws: ReadyFile.Failure.self) {
            try await server.run { _ in
                throw NoModel()
            } onEvent: { event in
                if case .listening(let port) = event {
                    try ReadyFile(path: "/nowhere/at/all").write(host: "127.0.0.1", port: port, version: "1")
                }
            }
        }
    }

    @Test("The ready file is there whole, replaces an older one and leaves nothing else behind")
    func readyFile() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/pbctl-ready-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = ReadyFile(path: folder + "/ready.json")
        for port in [1, 8080] { try file.write(host: "127.0.0.1", port: port, version: "0.1.0") }
        let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/ready.json"))
        let json = try JSONValue(parsing: Array(data))
        #expect(json["port"] == 8080 && json["host"] == "127.0.0.1" && json["version"] == "0.1.0")
        #expect(json["pid"]?.intValue == Int(getpid()))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["ready.json"])
    }
}
