import Glibc

/// Environment variables.
enum ProcessEnvironment {
    /// The variable's value, or nil where it is unset or empty.
    static func value(_ name: String) -> String? {
        guard let pointer = getenv(name), pointer.pointee != 0 else { return nil }
        return String(cString: pointer)
    }
}
