import ServingJSON

extension JSONValue? {
    /// The value; nil where there is none or it is null. `flatMap` would do for neither: `nil` in its closure is JSON's
    /// null, of which there is a literal.
    var present: JSONValue? {
        guard let self, !self.isNull else { return nil as JSONValue? }
        return self
    }
}
