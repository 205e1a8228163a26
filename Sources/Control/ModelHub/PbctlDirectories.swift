import Glibc

/// Where pbctl keeps its files: the XDG base directories, or all under `PBCTL_HOME`.
///
/// | | with `PBCTL_HOME` | else |
/// |---|---|---|
/// | config | `$PBCTL_HOME/config` | `${XDG_CONFIG_HOME:-~/.config}/pbctl` |
/// | state | `$PBCTL_HOME/state` | `${XDG_STATE_HOME:-~/.local/state}/pbctl` |
/// | cache | `$PBCTL_HOME/cache` | `${XDG_CACHE_HOME:-~/.cache}/pbctl` |
/// | data | `$PBCTL_HOME/data` | `${XDG_DATA_HOME:-~/.local/share}/pbctl` |
///
/// `~` is `HOME`, or without it the home of the user in the password database. As the XDG specification asks, relative
/// paths in XDG variables are ignored. Nothing is made on disk by asking for a path.
public struct PbctlDirectories: Sendable, Equatable {
    /// Settings that a person writes.
    public let config: String
    /// History and the like, which should survive but is nobody's work.
    public let state: String
    /// What can be made again.
    public let cache: String
    /// Pulled models and other things that were asked for.
    public let data: String

    /// Looks up a variable of the process's environment.
    public static let processEnvironment: @Sendable (String) -> String? = { name in
        getenv(name).map { String(cString: $0) }
    }

    /// The directories for an environment.
    /// - Throws: `.badReference` where neither the environment nor the password database knows a home.
    public init(
        environment: (String) -> String? = processEnvironment, passwordHome: () -> String? = homeOfUser
    ) throws(ModelHubError) {
        func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let home = value("PBCTL_HOME") {
            let home = FileSystem.absolute(home)
            (config, state) = (home + "/config", home + "/state")
            (cache, data) = (home + "/cache", home + "/data")
            return
        }
        let home = value("HOME").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? passwordHome()
        func base(_ variable: String, _ fallback: String) throws(ModelHubError) -> String {
            if let path = value(variable), path.hasPrefix("/") { return path + "/pbctl" }
            guard let home else {
                throw ModelHubError(
                    .badReference, "no home directory: HOME is not set and user \(getuid()) has none",
                    hint: "set HOME or PBCTL_HOME")
            }
            return (home == "/" ? "" : home) + "/" + fallback + "/pbctl"
        }
        config = try base("XDG_CONFIG_HOME", ".config")
        state = try base("XDG_STATE_HOME", ".local/state")
        cache = try base("XDG_CACHE_HOME", ".cache")
        data = try base("XDG_DATA_HOME", ".local/share")
    }

    /// The folder of the local model store.
    public var models: String { data + "/models" }
    /// The folder of the local registry of adapters.
    public var adapters: String { data + "/adapters" }
    /// The folder of adapters fetched from a hub for a request; may be emptied at any time.
    public var adapterCache: String { cache + "/adapters" }

    /// Home of the process's user in the password database, or nil.
    public static let homeOfUser: @Sendable () -> String? = {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var text = [CChar](repeating: 0, count: 16384)
        let status = getpwuid_r(getuid(), &entry, &text, text.count, &found)
        guard status == 0, found != nil, let home = entry.pw_dir else { return nil }
        let path = String(cString: home)
        return path.hasPrefix("/") ? path : nil
    }

    /// Makes a directory and those above it, readable by this user alone where it is new.
    /// - Throws: `.cannotWrite` naming the part of the path that stood in the way.
    public static func create(_ path: String) throws(ModelHubError) {
        try FileSystem.makeDirectories(path)
    }
}
