import ServingJSON

/// Which of a machine's devices a replica runs on: the GPU with the fewest replicas among those that its deployment
/// asks for, the processor where it asks for that or there is no GPU.
///
/// A pure value: the reconciler knows the replicas, this the rule.
package struct DevicePlacement: Sendable, Hashable {
    /// GPUs that models can run on.
    package var gpus: [MachineGPU]
    /// Why there are none, where one might expect some.
    package var problem: String?

    /// A machine with these GPUs; without any, replicas run on the processor.
    package init(gpus: [MachineGPU] = [], problem: String? = nil) {
        self.gpus = gpus
        self.problem = problem
    }

    /// The machine has no device of the kind that a config asks for.
    package struct NoSuchDevice: Error, Sendable, Hashable {
        package var fault: ConfigFault
    }

    /// The device for a new replica.
    ///
    /// - Parameter replicaCounts: Replicas that have not ended, by device.
    package func device(
        for config: DeploymentConfig, _ replicaCounts: [ReplicaDevice: Int]
    ) throws(NoSuchDevice) -> ReplicaDevice {
        if let own = config.ownDevice { return own }
        let candidates = try candidates(config)
        // Of those with as few the first: its number.
        let fewest = candidates.min {
            (replicaCounts[$0.device] ?? 0, $0.ordinal) < (replicaCounts[$1.device] ?? 0, $1.ordinal)
        }
        return fewest?.device ?? .cpu
    }

    /// What a config asks for in vain; nil where its replicas can be placed.
    package func fault(_ config: DeploymentConfig) -> ConfigFault? {
        do throws(NoSuchDevice) {
            _ = try device(for: config, [:])
            return nil
        } catch { return error.fault }
    }

    /// The kind of device that replicas of a config run on, for people: what it asks for, or what there is.
    package func kind(_ config: DeploymentConfig) -> String {
        if let own = config.ownDevice { return own.kind }
        return config.accelerator ?? config.computeSpec?.sku ?? (gpus.isEmpty ? "cpu" : "cuda")
    }

    /// GPUs that a config may run on; none for the processor.
    private func candidates(_ config: DeploymentConfig) throws(NoSuchDevice) -> [MachineGPU] {
        guard let (field, text) = config.wantedDevice else { return gpus }
        let wanted = AcceleratorKind(text)
        if wanted.kind == .cpu { return [] }
        let found = gpus.filter(wanted.includes)
        guard found.isEmpty else { return found }
        let names = Set(gpus.map { "\($0.name) (\($0.gigabytes) GB)" }).sorted().joined(separator: ", ")
        let what =
            if let problem {
                "this machine's GPUs can't be used: \(problem)"
            } else {
                gpus.isEmpty ? "this machine has no GPU" : "this machine has none of that kind, but \(names)"
            }
        throw NoSuchDevice(
            fault: ConfigFault(
                field: field.wireName, value: .string(text), expected: "\(what); leave it out to take what there is"))
    }
}

extension DeploymentConfig {
    /// The device that `customArgs` name, which goes before everything.
    var ownDevice: ReplicaDevice? { EngineCommandLine(self).device.flatMap { ReplicaDevice($0) } }

    /// The kind of device that is asked for, and by which field: `computeSpec` replaces `accelerator`.
    var wantedDevice: (field: DeploymentConfigField, text: String)? {
        if let sku = computeSpec?.sku { return (.computeSpec, sku) }
        return accelerator.map { (.accelerator, $0) }
    }
}
