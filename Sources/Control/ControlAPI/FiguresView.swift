package import Deployments
package import ServingJSON

/// What was measured of a deployment over a stretch of time. Durations are in seconds.
package struct FiguresView: WireView {
    package static let noun = "figures"

    package var requestsPerSecond: Double
    package var generatedTokensPerSecond: Double
    /// From the first step to the last token.
    package var inferenceTime: SpreadView
    /// Waiting at the gateway and in the replica.
    package var queueDuration: SpreadView
    package var timeToFirstToken: SpreadView
    package var interToken: SpreadView
    /// Replicas that were ready, as a mean.
    package var replicas: Double
    /// Share of the replicas' capacity in use, 0 to 1; nil without replicas.
    package var utilization: Double?
    /// Requests that ended, by outcome (``RequestSample/Outcome``).
    package var requests: [String: Int]

    /// Figures of a stretch in which nothing happened.
    package init() {
        (requestsPerSecond, generatedTokensPerSecond, replicas) = (0, 0, 0)
        (inferenceTime, queueDuration) = (SpreadView(), SpreadView())
        (timeToFirstToken, interToken) = (SpreadView(), SpreadView())
        requests = [:]
    }

    package var json: JSONObject {
        let counts = requests.sorted { $0.key < $1.key }.map { ($0.key, JSONValue($0.value)) }
        var object = JSONObject()
        object["requestsPerSecond"] = .number(requestsPerSecond)
        object["generatedTokensPerSecond"] = .number(generatedTokensPerSecond)
        object["inferenceTime"] = .object(inferenceTime.json)
        object["queueDuration"] = .object(queueDuration.json)
        object["replicas"] = .number(replicas)
        object["utilization"] = JSONValue(utilization)
        object["timeToFirstToken"] = .object(timeToFirstToken.json)
        object["interToken"] = .object(interToken.json)
        object["requests"] = .object(JSONObject(counts))
        return object
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        requestsPerSecond = try fields.optionalNumber("requestsPerSecond") ?? 0
        generatedTokensPerSecond = try fields.optionalNumber("generatedTokensPerSecond") ?? 0
        inferenceTime = try fields.optionalView("inferenceTime") ?? SpreadView()
        queueDuration = try fields.optionalView("queueDuration") ?? SpreadView()
        timeToFirstToken = try fields.optionalView("timeToFirstToken") ?? SpreadView()
        interToken = try fields.optionalView("interToken") ?? SpreadView()
        replicas = try fields.optionalNumber("replicas") ?? 0
        utilization = try fields.optionalNumber("utilization")
        requests = [:]
        let counts = WireFields(object: try fields.optionalObject("requests") ?? JSONObject(), path: "\(path).requests")
        for key in counts.object.keys { requests[key] = try counts.count(key) }
    }
}

/// How durations were spread, in seconds; nil where none was measured.
package struct SpreadView: WireView {
    package static let noun = "durations"

    package var mean: Double?
    package var p50: Double?
    package var p95: Double?
    package var p99: Double?

    package init(mean: Double? = nil, p50: Double? = nil, p95: Double? = nil, p99: Double? = nil) {
        self.mean = mean
        self.p50 = p50
        self.p95 = p95
        self.p99 = p99
    }

    package var json: JSONObject {
        JSONObject([
            ("mean", JSONValue(mean)), ("p50", JSONValue(p50)), ("p95", JSONValue(p95)), ("p99", JSONValue(p99)),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        mean = try fields.optionalNumber("mean")
        p50 = try fields.optionalNumber("p50")
        p95 = try fields.optionalNumber("p95")
        p99 = try fields.optionalNumber("p99")
    }
}

/// One step of a deployment's history of figures.
package struct MetricsPointView: WireView {
    package static let noun = "point"

    /// Where the step begins.
    package var at: Timestamp
    package var figures: FiguresView

    package init(at: Timestamp, figures: FiguresView) {
        self.at = at
        self.figures = figures
    }

    package var json: JSONObject {
        JSONObject([("at", JSONValue(at))] + Array(figures.json.members).map { ($0.0, $0.1) })
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        at = try WireFields(json, at: path).time("at")
        figures = try FiguresView(json, at: path)
    }
}
