package import ServingJSON

/// One thing that is wrong with a config.
package struct ConfigFault: Sendable, Hashable, CustomStringConvertible {
    /// The field's name on the wire, or as it was given where there is none of that name.
    package var field: String
    /// What was given; nil where nothing was. A token is never among it.
    package var value: JSONValue?
    /// What would be right (`a whole number from 1 to 1000`), or what to do.
    package var expected: String

    package init(field: String, value: JSONValue?, expected: String) {
        self.field = field
        self.value = value
        self.expected = expected
    }

    package var description: String {
        guard let value else { return "\(field): \(expected)" }
        return "\(field) \(Self.excerpt(value)): \(expected)"
    }

    /// A value as a message shows it, cut where it is long.
    package static func excerpt(_ value: JSONValue) -> String {
        let text = value.text()
        return text.utf8.count <= 80 ? text : "\(text.prefix(60))..."
    }
}

/// All that is wrong with a config, so that its owner mends it in one go.
package struct DeploymentConfigError: Error, Hashable, CustomStringConvertible {
    /// At least one.
    package var faults: [ConfigFault]

    package init(faults: [ConfigFault]) { self.faults = faults }

    package var description: String { faults.map(\.description).joined(separator: "; ") }
}
