import Glibc

/// The wall clock, for what clients are told.
package enum UnixTime {
    /// Seconds since 1970.
    package static func now() -> Int { time(nil) }
}
