import HTTPServing
import HTTPTypes
import Hummingbird
import ServingAPI
import ServingEngine
import ServingJSON
import ServingTensors

/// Routes that tell about the model and the server.
struct InformationRoutes: Sendable {
    let service: ReplicaService

    /// `/health`: 503 while draining, so that balancers send nothing new. After a step that failed, what one token
    /// says.
    func health() async -> HTTPReply {
        guard !service.admission.isDraining else { return .draining }
        guard service.model.statistics().hasFailedLately else { return HTTPReply(200) }
        return await startup().status == 200 ? HTTPReply(200) : HTTPReply(NativeError.unhealthy)
    }

    /// `/startup`: generates one token.
    func startup() async -> HTTPReply {
        do {
            let ticket = try service.enter()
            defer { withExtendedLifetime(ticket) {} }
            let ids = try service.model.promptTokens("Who?", addingSpecialTokens: true)
            var request = service.model.request(id: service.makeRequestID(), promptTokenIDs: ids)
            request.maxTokenCount = 1
            let output = await GenerationOutput(try service.model.submit(request))
            return output.samples.first?.tokens.isEmpty == false
                ? HTTPReply(200) : HTTPReply(NativeError.emptyGeneration)
        } catch let refusal as NativeError {
            return HTTPReply(refusal)
        } catch {
            return HTTPReply(NativeError.emptyGeneration)
        }
    }

    /// `/info`
    func info() -> HTTPReply {
        let (configuration, limits, model) = (service.configuration, service.limits, service.model)
        var json = JSONBytes()
        json.openObject()
        json.member("model_id", model.name)
        json.nullMember("model_sha")
        json.member("model_dtype", model.elementTypeName)
        json.member("model_device_type", model.deviceType)
        json.member("model_pipeline_tag", "text-generation")
        json.member("max_concurrent_requests", configuration.maxConcurrentRequests)
        json.member("max_best_of", limits.maxBestOf)
        json.member("max_stop_sequences", limits.maxStopSequences)
        json.member("max_input_length", limits.maxInputLength)
        json.member("max_total_tokens", limits.maxTotalTokens)
        json.member("waiting_served_ratio", Float(0))
        json.member("max_batch_total_tokens", model.limits.blockCount * model.limits.positionsPerBlock)
        json.member("max_batch_size", configuration.maxBatchSize)
        json.member("max_waiting_tokens", 0)
        json.member("validation_workers", 1)
        json.member("eager_prefill", true)
        json.member("version", configuration.version)
        json.nullMember("sha")
        json.nullMember("docker_label")
        json.nullMember("request_logger_url")
        if let id = configuration.replicaID { json.member("replica_id", id) }
        json.closeObject()
        return .json(json)
    }

    /// `/metrics`: Prometheus's text, or JSON for who asks for it.
    func metrics(_ request: Request) -> HTTPReply {
        service.updateMetrics()
        let wantsJSON =
            request.headers[.accept]?.contains("application/json") ?? false
            || request.uri.queryParameters["format"] == "json"
        if wantsJSON { return .json(service.metrics.json()) }
        return HTTPReply(
            200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(service.metrics.text().utf8))
    }

    /// `/v1/models`: the base model and the adapters that the server was started with.
    func models() -> HTTPReply {
        var json = JSONBytes()
        json.openObject()
        json.member("object", "list")
        json.key("data")
        json.openArray()
        for id in modelIDs { write(id, &json) }
        json.closeArray()
        json.closeObject()
        return .json(json)
    }

    /// `/v1/models/{id}`
    func model(_ id: String) -> HTTPReply {
        guard modelIDs.contains(id) else {
            return HTTPReply(OpenAIError.unknownModel(id, "The model `\(id)` does not exist"))
        }
        var json = JSONBytes()
        write(id, &json)
        return .json(json)
    }

    private var modelIDs: [String] { [service.model.name] + service.adapterIDs() }

    private func write(_ id: String, _ json: inout JSONBytes) {
        json.openObject()
        json.member("id", id)
        json.member("object", "model")
        json.member("created", service.startedAt)
        json.member("owned_by", "pbctl")
        json.member("root", service.model.name)
        json.member("parent", id == service.model.name ? nil : service.model.name)
        json.member("max_model_len", service.limits.maxTotalTokens)
        json.closeObject()
    }

    /// `/tokenize`: the tokens of a text, with the vocabulary's entries and where in the text they stand, in
    /// characters.
    func tokenize(_ request: Request) async -> HTTPReply {
        do {
            let body = try await NativeRoutes.decode(service.bodies.json(request)) { value throws(WireDecodingError) in
                try NativeTokenizeRequest(value)
            }
            let ticket = try service.enter()
            defer { withExtendedLifetime(ticket) {} }
            guard let texts = service.model.texts else { return HTTPReply(NativeError.noTokenizer) }
            let ids = try service.model.promptTokens(body.inputs, addingSpecialTokens: body.addsSpecialTokens)
            var json = JSONBytes(capacity: ids.count * 48)
            var places = TokenPlaces(body.inputs)
            json.openArray()
            for id in ids {
                let place = places.next(texts.bytes(of: id))
                json.openObject()
                json.member("id", id)
                json.member("text", service.model.vocabularyEntry(of: id))
                json.member("start", place.lowerBound)
                json.member("stop", place.upperBound)
                json.closeObject()
            }
            json.closeArray()
            return .json(json)
        } catch let failure as RequestBodyReader.Failure {
            return failure.native
        } catch let refusal as NativeError {
            return HTTPReply(refusal)
        } catch {
            return HTTPReply(NativeError.validation("tokenizer error \(error)"))
        }
    }
}
