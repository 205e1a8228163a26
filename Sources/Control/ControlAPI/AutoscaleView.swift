package import ServingJSON

/// How the autoscaler sees a deployment.
package struct AutoscaleView: WireView {
    package static let noun = "autoscale"

    package var limits: ScaleLimits
    /// Replicas that it asks for.
    package var desired: Int
    /// The number set by hand; nil lets the autoscaler decide.
    package var pinned: Int?
    package var load: LoadView
    /// Its last decisions, newest first.
    package var decisions: [EventView]

    package init(limits: ScaleLimits, desired: Int, pinned: Int?, load: LoadView, decisions: [EventView] = []) {
        self.limits = limits
        self.desired = desired
        self.pinned = pinned
        self.load = load
        self.decisions = decisions
    }

    package var json: JSONObject {
        JSONObject([
            ("limits", .object(limits.json)), ("desired", JSONValue(desired)), ("pinned", JSONValue(pinned)),
            ("load", .object(load.json)), ("decisions", .array(decisions.map { .object($0.json) })),
        ])
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        limits = try fields.view("limits")
        desired = try fields.count("desired")
        pinned = try fields.optionalCount("pinned")
        load = try fields.optionalView("load") ?? LoadView(running: 0, queued: 0)
        decisions = try fields.viewsIfThere("decisions")
    }
}

/// Limits of the autoscaler; nil leaves one as it is.
package struct ScaleLimits: WireView {
    package static let noun = "limits"

    package var minReplicas: Int?
    package var maxReplicas: Int?
    /// In seconds.
    package var cooldownTime: Int?
    package var scaleUpRequestThreshold: Int?

    package init(
        minReplicas: Int? = nil, maxReplicas: Int? = nil, cooldownTime: Int? = nil, scaleUpRequestThreshold: Int? = nil
    ) {
        self.minReplicas = minReplicas
        self.maxReplicas = maxReplicas
        self.cooldownTime = cooldownTime
        self.scaleUpRequestThreshold = scaleUpRequestThreshold
    }

    package var isEmpty: Bool { self == ScaleLimits() }

    /// Only what is set.
    package var json: JSONObject {
        let all: [(String, Int?)] = [
            ("minReplicas", minReplicas), ("maxReplicas", maxReplicas), ("cooldownTime", cooldownTime),
            ("scaleUpRequestThreshold", scaleUpRequestThreshold),
        ]
        return JSONObject(all.compactMap { key, value in value.map { (key, JSONValue($0)) } })
    }

    package init(_ json: JSONValue, at path: String) throws(WireFault) {
        let fields = try WireFields(json, at: path)
        minReplicas = try fields.optionalCount("minReplicas")
        maxReplicas = try fields.optionalCount("maxReplicas")
        cooldownTime = try fields.optionalCount("cooldownTime")
        scaleUpRequestThreshold = try fields.optionalCount("scaleUpRequestThreshold")
    }
}
