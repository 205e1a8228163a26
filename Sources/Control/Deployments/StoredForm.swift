import ServingJSON

/// Members of a stored object, read by name and type.
struct StoredForm {
    private let object: JSONObject
    private let path: String

    init(_ value: JSONValue, path: String) throws(StoredFormError) {
        guard let object = value.objectValue else { throw StoredFormError(field: path, expected: "an object") }
        self.object = object
        self.path = path
    }

    /// The member, nil where it is absent or null.
    subscript(key: String) -> JSONValue? {
        // A bare nil would be taken for JSON's null.
        guard let value = object[key], !value.isNull else { return Optional.none }
        return value
    }

    func text(_ key: String, default value: String? = nil) throws(StoredFormError) -> String {
        guard let member = self[key] else {
            guard let value else { throw wrong(key, "a text") }
            return value
        }
        guard let text = member.stringValue else { throw wrong(key, "a text") }
        return text
    }

    func optionalText(_ key: String) throws(StoredFormError) -> String? {
        self[key] == nil ? nil : try text(key)
    }

    func optionalInteger(_ key: String) throws(StoredFormError) -> Int? {
        guard let member = self[key] else { return nil }
        guard let number = member.intValue else { throw wrong(key, "a whole number") }
        return number
    }

    func integer(_ key: String, default value: Int) throws(StoredFormError) -> Int {
        try optionalInteger(key) ?? value
    }

    func flag(_ key: String) throws(StoredFormError) -> Bool {
        guard let member = self[key] else { return false }
        guard let flag = member.boolValue else { throw wrong(key, "true or false") }
        return flag
    }

    func texts(_ key: String) throws(StoredFormError) -> [String] {
        guard let member = self[key] else { return [] }
        guard let elements = member.arrayValue else { throw wrong(key, "a list of texts") }
        var texts: [String] = []
        for element in elements {
            guard let text = element.stringValue else { throw wrong(key, "a list of texts") }
            texts.append(text)
        }
        return texts
    }

    private func wrong(_ key: String, _ expected: String) -> StoredFormError {
        StoredFormError(field: "\(path).\(key)", expected: expected)
    }
}
