package import HTTPServing
package import ServingAdapters
import ServingJSON

/// What a request says about adapters, as LoRAX spells it. OpenAI's routes take the same fields beside `model`.
package struct AdapterFields: Sendable, Equatable {
    /// `merged_adapters`.
    package struct Merged: Sendable, Equatable {
        /// At least one.
        package var ids: [String]
        /// One an id.
        package var weights: [Double]
        /// `merge_strategy`
        package var strategy: String?
        /// Share of the elements that pruning keeps.
        package var density: Double?
        /// `majority_sign_method`
        package var majoritySignMethod: String?
    }

    /// `adapter_id`.
    package var id: String?
    /// `adapter_source`.
    package var source: String?
    /// `merged_adapters`.
    package var merged: Merged?
    /// `api_token`, for the hub that the adapter comes from.
    package var token: String?
    /// OpenAI's `model`, where ``id`` names an adapter beside it.
    package var model: String?

    init(_ fields: WireObject) throws(WireDecodingError) {
        id = try fields.string("adapter_id")
        source = try fields.string("adapter_source")
        token = try fields.string("api_token")
        guard let merge = try fields.object("merged_adapters", named: "AdapterParameters") else { return }
        _ = try merge.required("ids")
        merged = Merged(
            ids: try merge.strings("ids") ?? [], weights: try merge.numbers("weights") ?? [],
            strategy: try merge.string("merge_strategy"), density: try merge.number("density"),
            majoritySignMethod: try merge.string("majority_sign_method"))
    }

    /// No adapter.
    package init() {}

    /// Takes OpenAI's `model`: the adapter's id, where no other field holds one.
    mutating func name(model: String) {
        if let id, !id.isEmpty { self.model = model } else { id = model }
    }

    /// The adapters' ids, joined as LoRAX's headers do.
    package var name: String? { merged.map { $0.ids.joined(separator: ",") } ?? id.flatMap { $0.isEmpty ? nil : $0 } }
}

/// Why fields of a request name no adapter.
package enum AdapterFieldsError: Error, Equatable, Sendable {
    /// LoRAX's texts for parameters.
    case invalid(String)
    /// An `adapter_source` that there is not.
    case unknownSource(String, adapter: String)

    /// The error as LoRAX's routes tell it.
    package var native: NativeError {
        switch self {
        case .invalid(let message): .validation(message)
        case .unknownSource(let source, let adapter):
            .generation("Server error: Invalid source '\(source)' when downloading adapter '\(adapter)'")
        }
    }

    /// The error as OpenAI's routes tell it.
    package var openAI: OpenAIError {
        switch self {
        case .invalid(let message): .invalid(message, param: "model")
        case .unknownSource(let source, let adapter):
            .invalid(
                "Invalid source '\(source)' for adapter '\(adapter)': expected "
                    + AdapterSource.allCases.map(\.rawValue).joined(separator: ", "), param: "adapter_source")
        }
    }
}

/// Leads from the fields of a request to the adapter that they mean.
package struct AdapterResolver: Sendable {
    /// Ids that mean the base model.
    package let baseModelIDs: Set<String>
    /// Where ids lead unless the request says so.
    package let defaultSource: AdapterSource
    /// Where an id is found right now; nil leaves it to ``defaultSource``. Asked only where the request names no
    /// source.
    private let placeOf: @Sendable (String) -> AdapterSource?
    /// Whether a density of 0, LoRAX's default, is taken.
    package let isLoRAXCompatible: Bool

    /// LoRAX's own id for no adapter.
    package static let baseModelAdapterID = "__base_model__"

    /// A resolver for one base model.
    package init(
        baseModelIDs: Set<String>, defaultSource: AdapterSource, isLoRAXCompatible: Bool = false,
        placeOf: @escaping @Sendable (String) -> AdapterSource? = { _ in nil }
    ) {
        self.placeOf = placeOf
        self.isLoRAXCompatible = isLoRAXCompatible
        self.baseModelIDs = baseModelIDs.union(["", Self.baseModelAdapterID])
        self.defaultSource = defaultSource
    }

    /// The adapter that the fields mean, or nil for the base model. `bearer` is the credential of the request's header,
    /// for requests that bring none in the body.
    package func selection(_ fields: AdapterFields, bearer: String?) throws(AdapterFieldsError) -> AdapterSelection? {
        if let merged = fields.merged {
            if let id = fields.id, !baseModelIDs.contains(id) {
                throw .invalid("at most one of `adapter_id` or `adapters` may be provided")
            }
            let merge = try merge(merged)
            let source = try source(fields.source, adapters: merged.ids)
            return AdapterSelection(.merged(merge), source: source, token: token(fields, bearer, source))
        }
        if let model = fields.model, let id = fields.id, model != id, !baseModelIDs.contains(model) {
            throw .invalid("`model` names \"\(model)\" and `adapter_id` names \"\(id)\": leave one of them out")
        }
        guard let id = fields.id, !baseModelIDs.contains(id) else { return nil }
        let source = try source(fields.source, adapters: [id])
        return AdapterSelection(.single(id), source: source, token: token(fields, bearer, source))
    }

    private func source(_ name: String?, adapters: [String]) throws(AdapterFieldsError) -> AdapterSource {
        guard let name, !name.isEmpty else { return try source(of: adapters) }
        guard let source = AdapterSource(rawValue: name.lowercased()) else {
            throw .unknownSource(name, adapter: adapters.joined(separator: ","))
        }
        return source
    }

    /// Where ids lead that come without a source: `hf:` is the hub, as on the command line.
    private func source(of ids: [String]) throws(AdapterFieldsError) -> AdapterSource {
        let sources = ids.map { $0.hasPrefix("hf:") ? AdapterSource.hub : placeOf($0) ?? defaultSource }
        guard let first = sources.first else { return defaultSource }
        guard sources.allSatisfy({ $0 == first }) else {
            let places = zip(ids, sources).map { "\($0) (\($1.rawValue))" }.joined(separator: ", ")
            throw .invalid("adapters that are merged must be in one place. Given: \(places)")
        }
        return first
    }

    /// The credential, only where there is somebody to show it to: it is part of an adapter's identity. Clients that
    /// must send a key and have none send `EMPTY`.
    private func token(_ fields: AdapterFields, _ bearer: String?, _ source: AdapterSource) -> String? {
        guard source == .hub, let token = fields.token ?? bearer, !token.isEmpty, token != "EMPTY" else { return nil }
        return token
    }

    private func merge(_ merged: AdapterFields.Merged) throws(AdapterFieldsError) -> AdapterMerge {
        guard !merged.ids.isEmpty else {
            throw .invalid("at least one adapter ID must be provided when setting `adapters`")
        }
        guard merged.ids.count <= AdapterMerge.memberLimit else {
            throw .invalid("at most \(AdapterMerge.memberLimit) adapters may be merged. Given: \(merged.ids.count)")
        }
        guard merged.ids.count == merged.weights.count else {
            throw .invalid("number of adapter IDs must match number of adapter weights")
        }
        guard merged.weights.allSatisfy(\.isFinite) else { throw .invalid("adapter weights must be finite") }
        let strategy: AdapterMergeStrategy = try choice("merge_strategy", merged.strategy) ?? .linear
        let sign: MajoritySignMethod = try choice("majority_sign_method", merged.majoritySignMethod) ?? .total
        // Clients must send a density even where the strategy has no use for one; LoRAX's docs then say 0.
        let usesDensity = ![.linear, .cat].contains(strategy)
        let density = usesDensity ? merged.density ?? (isLoRAXCompatible ? 0 : 1) : 1
        guard density > 0 || isLoRAXCompatible && density == 0, density <= 1 else {
            throw .invalid("`density` must be > 0.0 and <= 1.0")
        }
        return AdapterMerge(
            ids: merged.ids, weights: merged.weights, strategy: strategy, density: density, majoritySignMethod: sign)
    }

    private func choice<Value: RawRepresentable & CaseIterable>(
        _ field: String, _ name: String?
    ) throws(AdapterFieldsError) -> Value? where Value.RawValue == String {
        guard let name else { return nil }
        guard let value = Value(rawValue: name) else {
            let known = Value.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", ")
            throw .invalid("`\(field)` must be one of \(known). Given: \(name)")
        }
        return value
    }
}
