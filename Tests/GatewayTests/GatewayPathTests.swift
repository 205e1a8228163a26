import Testing

@testable import Gateway

@Suite("Paths and models") struct GatewayPathTests {
    @Test(
        "Paths lead to deployments and routes, whatever the base",
        arguments: [
            ("/v1/chat/completions", GatewayPath.shared(.chat)),
            ("/v1/completions", .shared(.completions)),
            ("/v1/embeddings", .shared(.embeddings)),
            ("/v1/models/chat:team%2Fone", .shared(.model("chat:team/one"))),
            ("/v1/models/chat:team/one", .shared(.model("chat:team/one"))),
            ("/deployments/chat", .deployment(name: "chat", .compatible)),
            ("/deployments/chat/", .deployment(name: "chat", .compatible)),
            ("/deployments/chat/generate_stream", .deployment(name: "chat", .generateStream)),
            ("/deployments/ch%61t/generate", .deployment(name: "chat", .generate)),
            ("/deployments/a%2Fb/generate", .deployment(name: "a/b", .generate)),
            ("/deployments/chat/v1/completions", .deployment(name: "chat", .completions)),
            ("/deployments/v2/llms", .deployment(name: "v2", nil)),
            ("/deployments/chat/nonsense", .deployment(name: "chat", nil)),
            ("/deployments/chat/generate/more", .deployment(name: "chat", nil)),
            ("/t0/deployments/v2/llms/chat", .deployment(name: "chat", .compatible)),
            ("/t0/deployments/v2/llms/chat/v1/chat/completions", .deployment(name: "chat", .chat)),
            ("/my%20tenant/deployments/v2/llms/chat/embed", .deployment(name: "chat", .embed)),
        ])
    func leads(path: String, expected: GatewayPath) {
        #expect(GatewayPath(path, isRead: false) == expected)
    }

    @Test(
        "Other paths are left to others",
        arguments: [
            "", "/", "v1/models", "/v2/deployments", "/v2/deployments/chat", "/api/v1/deployments/chat/metrics",
            "/health",
            "/v1", "/v1/nonsense", "/t0/deployments/v2/llms", "//deployments/v2/llms/chat", "/llms/chat/events",
        ])
    func isNotOurs(path: String) {
        #expect(GatewayPath(path, isRead: true) == nil)
    }

    @Test("A bare base is a request to generate, or read as health")
    func bareBase() {
        #expect(GatewayPath("/deployments/chat", isRead: true) == .deployment(name: "chat", .health))
        #expect(GatewayPath("/t/deployments/v2/llms/chat/", isRead: true) == .deployment(name: "chat", .health))
    }

    @Test(
        "A model is a deployment, with an adapter behind the first colon",
        arguments: [
            ("chat", "chat", nil), ("chat:", "chat", nil), ("chat:a", "chat", "a"),
            ("chat:hf://a/b:c", "chat", "hf://a/b:c"), (":a", "", "a"),
        ] as [(String, String, String?)])
    func sharedModel(model: String, deployment: String, adapter: String?) {
        let selector = ModelSelector(shared: model)
        #expect(selector.deployment == deployment)
        #expect(selector.adapter == adapter)
    }

    @Test(
        "Within a deployment a model is nothing, the base model, the deployment, or an adapter",
        arguments: [
            ("", nil), ("chat", nil), ("base", nil), ("__base_model__", nil), ("chat:x/1", "x/1"), ("x/1", "x/1"),
            ("other:x", "other:x"),
        ] as [(String, String?)])
    func modelWithin(model: String, adapter: String?) {
        #expect(ModelSelector(model: model, within: "chat", baseModel: "base").adapter == adapter)
    }

    @Test("Names near to a mistyped one are told, others are not")
    func nearNames() {
        let names = ["chat", "chat-large", "embedder"]
        #expect(NearNames.of("caht", among: names).isEmpty == true)
        #expect(NearNames.of("chta-large", among: names) == ["chat-large"])
        #expect(NearNames.of("cha", among: names) == ["chat", "chat-large"])
        #expect(NearNames.of("embeder", among: names) == ["embedder"])
        #expect(NearNames.of("", among: names) == [])
        #expect(NearNames.of(String(repeating: "x", count: 10_000), among: names) == [])
    }
}
