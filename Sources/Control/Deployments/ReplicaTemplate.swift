import ServingJSON

/// What all replicas of one state of a deployment have in common.
package struct ReplicaTemplate: Sendable, Hashable {
    package var config: DeploymentConfig
    package var restartCount: Int

    package init(config: DeploymentConfig, restartCount: Int) {
        self.config = config
        self.restartCount = restartCount
    }

    /// Sixteen hexadecimal digits that tell templates apart, the same in every process and version of pbctl.
    ///
    /// FNV-1a of the fields that differ from their defaults, so that a field added later changes no mark of replicas
    /// that run. It is no secret and no proof: who can choose configs can make two of one mark, and harms only himself.
    package var mark: String {
        var object = config.storedJSON
        if restartCount != 0 { object["restarts"] = .integer(Int64(restartCount)) }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in JSONValue.object(object).text().utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Arguments of pbctl that start a replica, `engine serve` first. Host, port and where to tell the port are not
    /// among them.
    /// - Parameter device: What the replica is to run on, unless the config's own arguments name a device.
    package func engineArguments(on device: ReplicaDevice? = nil) -> [String] {
        EngineCommandLine(config).arguments(model: config.baseModel, device: device)
    }

    /// Variables that a replica needs besides: what must not be seen in lists of processes.
    package func engineEnvironment() -> [String: String] { config.hubToken.map { ["HF_TOKEN": $0] } ?? [:] }
}
