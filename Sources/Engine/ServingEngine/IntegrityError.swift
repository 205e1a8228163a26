/// A broken invariant of the engine's own book-keeping; found by the `checkIntegrity` functions, for tests.
struct IntegrityError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// Throws unless `holds`.
    static func require(_ holds: Bool, _ description: @autoclosure () -> String) throws(IntegrityError) {
        guard holds else { throw IntegrityError(description()) }
    }
}
