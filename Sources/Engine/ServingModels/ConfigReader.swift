import ServingJSON

/// Typed, bounded access to the fields of a config.json object: each error names the field, what was expected and what
/// was found.
struct ConfigReader {
    let object: JSONObject
    /// Put before field names in errors, for instance `rope_scaling.`.
    var path = ""

    /// Largest count any field may state; far above any model, far below overflow.
    private static let largestCount = 1 << 26

    func value(_ name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    func count(_ name: String) throws(ModelError) -> Int? {
        guard let value = value(name) else { return nil }
        guard let count = value.intValue, (1...Self.largestCount).contains(count) else {
            throw invalid(name, "expected a whole number from 1 to \(Self.largestCount)", found: value)
        }
        return count
    }

    func requiredCount(_ name: String) throws(ModelError) -> Int {
        guard let count = try count(name) else { throw missing(name) }
        return count
    }

    func number(_ name: String) throws(ModelError) -> Double? {
        guard let value = value(name) else { return nil }
        guard let number = value.doubleValue, number.isFinite else {
            throw invalid(name, "expected a finite number", found: value)
        }
        return number
    }

    func positiveNumber(_ name: String) throws(ModelError) -> Double? {
        guard let number = try number(name) else { return nil }
        guard number > 0 else { throw invalid(name, "expected a number above 0", found: .number(number)) }
        return number
    }

    func requiredPositiveNumber(_ name: String) throws(ModelError) -> Double {
        guard let number = try positiveNumber(name) else { throw missing(name) }
        return number
    }

    func flag(_ name: String) throws(ModelError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let flag = value.boolValue else { throw invalid(name, "expected true or false", found: value) }
        return flag
    }

    func string(_ name: String) throws(ModelError) -> String? {
        guard let value = value(name) else { return nil }
        guard let string = value.stringValue else { throw invalid(name, "expected a string", found: value) }
        return string
    }

    func positiveNumbers(_ name: String, count: Int) throws(ModelError) -> [Double] {
        guard let value = value(name) else { throw missing(name) }
        let numbers = value.arrayValue?.compactMap(\.doubleValue).filter { $0.isFinite && $0 > 0 }
        guard let numbers, numbers.count == count, value.arrayValue?.count == count else {
            throw ModelError(.invalidConfig, "config.json: \(path)\(name): expected \(count) numbers above 0")
        }
        return numbers
    }

    func nested(_ name: String) throws(ModelError) -> ConfigReader? {
        guard let value = value(name) else { return nil }
        guard let object = value.objectValue else { throw invalid(name, "expected an object", found: value) }
        return ConfigReader(object: object, path: path + name + ".")
    }

    func missing(_ name: String) -> ModelError {
        ModelError(.invalidConfig, "config.json: \(path)\(name) is missing")
    }

    func invalid(_ name: String, _ expectation: String, found: JSONValue) -> ModelError {
        ModelError(.invalidConfig, "config.json: \(path)\(name): \(expectation), found \(found.text().prefix(80))")
    }
}
