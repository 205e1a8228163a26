import Glibc

/// The wall clock, for what clients are told.
enum UnixTime {
    /// Seconds since 1970.
    static func now() -> Int { time(nil) }
}
