package import Deployments

/// How the server listens, where it keeps what it knows, and what it starts.
package struct ControlServerConfiguration: Sendable {
    /// Address or host name to listen on.
    package var host: String
    /// Port; 0 takes any that is free.
    package var port: Int
    /// Folder of the database, the lock and the replicas' files.
    package var stateFolder: String
    /// The pbctl to start replicas with.
    package var executable: String
    /// Key that clients must show; nil lets everybody on this machine in.
    package var apiKey: String?
    package var version: String
    /// Whose deployments these are, as Predibase's URLs name them.
    package var tenant: String
    /// Where replicas run.
    package var launcher: Launcher
    /// The devices of the machine that they run on.
    package var placement: DevicePlacement
    /// Longest that requests under way may take when the server is told to end.
    package var drainLimit: Duration

    package enum Launcher: String, Sendable, Hashable, CaseIterable {
        /// As processes of this machine.
        case local
        /// Nowhere: they are only pretended, for loads on the control plane itself.
        case null
    }

    package init(
        host: String = "127.0.0.1", port: Int = 7860, stateFolder: String, executable: String, apiKey: String? = nil,
        version: String
    ) {
        self.host = host
        self.port = port
        self.stateFolder = stateFolder
        self.executable = executable
        self.apiKey = apiKey
        self.version = version
        tenant = "default"
        launcher = .local
        placement = DevicePlacement()
        drainLimit = .seconds(30)
    }
}
