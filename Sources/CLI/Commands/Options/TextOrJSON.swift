import ArgumentParser

/// Formats of commands whose result is either a few lines or one JSON object.
enum TextOrJSON: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// Formats of commands that list things.
enum TableOrJSON: String, ExpressibleByArgument, CaseIterable {
    case table, json, name
}
