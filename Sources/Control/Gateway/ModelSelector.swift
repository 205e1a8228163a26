/// What the `model` of a request means.
package struct ModelSelector: Sendable, Hashable {
    /// Deployment that is asked.
    package var deployment: String
    /// Adapter; nil for the base model.
    package var adapter: String?

    /// Where the model names the deployment: `NAME` or `NAME:ADAPTER`. An adapter's id may hold colons and slashes; a
    /// deployment's name can't.
    package init(shared model: String) {
        guard let colon = model.utf8.firstIndex(of: UInt8(ascii: ":")) else {
            deployment = model
            return
        }
        deployment = String(model[..<colon])
        let rest = model[model.utf8.index(after: colon)...]
        adapter = rest.isEmpty ? nil : String(rest)
    }

    /// Below a deployment's own base: nothing, the base model's name, an adapter's id, or the deployment's name as
    /// above.
    package init(model: String, within deployment: String, baseModel: String) {
        self.deployment = deployment
        if model.isEmpty || model == deployment || model == baseModel || model == Self.baseModelID { return }
        let selector = ModelSelector(shared: model)
        adapter = selector.deployment == deployment ? selector.adapter : model
    }

    /// LoRAX's id for no adapter.
    static let baseModelID = "__base_model__"
}

/// Names that somebody may have meant.
package enum NearNames {
    /// At most two names that are few typing errors away or continue what was typed, nearest first.
    package static func of(_ name: String, among names: [String]) -> [String] {
        let typed = Array(name.utf8.prefix(64))
        guard !typed.isEmpty else { return [] }
        let limit = max(1, typed.count / 3)
        let near = names.compactMap { candidate -> (Int, String)? in
            let distance = distance(typed, Array(candidate.utf8.prefix(64)))
            if distance <= limit { return (distance, candidate) }
            return typed.count >= 3 && candidate.hasPrefix(name) ? (limit + 1, candidate) : nil
        }
        return near.sorted { $0 < $1 }.prefix(2).map(\.1)
    }

    /// Insertions, deletions and replacements that make one of the other.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for j in right.indices {
                let replaced = diagonal + (right[j] == byte ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[right.count]
    }
}
