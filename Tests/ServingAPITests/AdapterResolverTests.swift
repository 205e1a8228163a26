import HTTPServing
import ServingAPI
import ServingAdapters
import Testing

@Suite("Adapters of requests") struct AdapterResolverTests {
    private let resolver = AdapterResolver(baseModelIDs: ["base"], defaultSource: .local)

    private func selection(_ fields: String, bearer: String? = nil) throws -> AdapterSelection? {
        let adapter = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#)).parameters.adapter
        return try resolver.selection(adapter, bearer: bearer)
    }

    @Test(
        "No id, an empty one, the model's own and LoRAX's word all mean the base model",
        arguments: [
            "", #""adapter_id":null"#, #""adapter_id":"""#, #""adapter_id":"base""#, #""adapter_id":"__base_model__""#,
        ])
    func base(fields: String) throws { #expect(try selection(fields) == nil) }

    @Test("A credential goes to hubs only, from the body before the header")
    func tokens() throws {
        #expect(
            try selection(#""adapter_id":"a/b","adapter_source":"HUB""#, bearer: "t")
                == AdapterSelection(.single("a/b"), source: .hub, token: "t"))
        #expect(try selection(#""adapter_id":"a/b","adapter_source":"hub","api_token":"u""#, bearer: "t")?.token == "u")
        #expect(try selection(#""adapter_id":"a/b","adapter_source":"hub""#, bearer: "EMPTY")?.token == nil)
        #expect(try selection(#""adapter_id":"a""#, bearer: "t") == AdapterSelection(.single("a"), source: .local))
    }

    @Test(
        "A merge has a weight an id, a known strategy and a density that keeps something",
        arguments: [
            (#"{"ids":[],"weights":[]}"#, "at least one adapter ID must be provided when setting `adapters`"),
            (#"{"ids":["a","b"],"weights":[1]}"#, "number of adapter IDs must match number of adapter weights"),
            (#"{"ids":["a"],"weights":[1],"merge_strategy":"ties","density":0}"#, "`density` must be > 0.0 and <= 1.0"),
            (
                #"{"ids":["a"],"weights":[1],"majority_sign_method":"most"}"#,
                "`majority_sign_method` must be one of `total`, `frequency`. Given: most"
            ),
        ])
    func merges(merge: String, expected: String) throws {
        let fields = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{"merged_adapters":\#(merge)}}"#))
            .parameters.adapter
        let error = failure { () throws(AdapterFieldsError) in try resolver.selection(fields, bearer: nil) }
        #expect(error?.native == .validation(expected))
    }

    @Test("Both an id and a merge are one too many; a linear merge needs no density")
    func choice() throws {
        let merge = #""merged_adapters":{"ids":["a"],"weights":[0.5],"density":0.0}"#
        #expect(
            try selection(merge)?.choice == .merged(AdapterMerge(ids: ["a"], weights: [0.5], strategy: .linear)))
        #expect(throws: AdapterFieldsError.invalid("at most one of `adapter_id` or `adapters` may be provided")) {
            try selection(#""adapter_id":"x",\#(merge)"#)
        }
    }

    @Test("An id without a source leads to where it is found, hf: to the hub, all else to the default")
    func places() throws {
        let resolver = AdapterResolver(baseModelIDs: ["base"], defaultSource: .local) { $0 == "tone" ? .pbase : nil }
        func source(_ fields: String) throws -> AdapterSource? {
            let request = try NativeGenerateRequest(json(#"{"inputs":"hi","parameters":{\#(fields)}}"#))
            return try resolver.selection(request.parameters.adapter, bearer: nil)?.source
        }
        #expect(try source(#""adapter_id":"tone""#) == .pbase)
        #expect(try source(#""adapter_id":"tone","adapter_source":"local""#) == .local)
        #expect(try source(#""adapter_id":"hf:a/b""#) == .hub)
        #expect(try source(#""adapter_id":"other""#) == .local)
        #expect(try source(#""merged_adapters":{"ids":["tone","tone"],"weights":[1,1]}"#) == .pbase)
        #expect(throws: AdapterFieldsError.self) {
            try source(#""merged_adapters":{"ids":["tone","other"],"weights":[1,1]}"#)
        }
    }

    @Test("A model and an adapter_id that name two adapters are one too many")
    func modelAndID() throws {
        func selection(_ fields: String) throws -> AdapterSelection? {
            let body = try CompletionRequest(json(#"{"prompt":"a",\#(fields)}"#))
            return try resolver.selection(body.sampling.adapter, bearer: nil)
        }
        for fields in [
            #""model":"sql","adapter_id":"sql""#, #""model":"base","adapter_id":"sql""#, #""adapter_id":"sql""#,
            #""model":"sql","adapter_id":"""#,
        ] {
            #expect(try selection(fields)?.ids == ["sql"], "\(fields)")
        }
        for fields in [#""model":"tone","adapter_id":"sql""#, #""model":"tone","adapter_id":"base""#] {
            #expect(throws: AdapterFieldsError.self) { try selection(fields) }
        }
    }

    @Test("An unknown source is an error of the download, as LoRAX has it")
    func source() throws {
        let fields = try NativeGenerateRequest(
            json(#"{"inputs":"hi","parameters":{"adapter_id":"a","adapter_source":"ftp"}}"#)
        ).parameters.adapter
        let error = failure { () throws(AdapterFieldsError) in try resolver.selection(fields, bearer: nil) }
        #expect(
            error?.native
                == .generation("Server error: Invalid source 'ftp' when downloading adapter 'a'"))
        #expect(error?.native.status == 424)
    }

    @Test("Merges have a bound")
    func manyMembers() {
        let ids = Array(repeating: #""a""#, count: 33).joined(separator: ",")
        let weights = Array(repeating: "1", count: 33).joined(separator: ",")
        #expect(throws: AdapterFieldsError.invalid("at most 32 adapters may be merged. Given: 33")) {
            try selection(##""merged_adapters":{"ids":[\##(ids)],"weights":[\##(weights)]}"##)
        }
    }

    @Test("A density is not rounded on its way")
    func density() throws {
        let selection = try selection(
            #""merged_adapters":{"ids":["a"],"weights":[1],"merge_strategy":"ties","density":0.7}"#)
        guard case .merged(let merge) = selection?.choice else {
            Issue.record("no merge")
            return
        }
        #expect(merge.density == 0.7)
    }
}
