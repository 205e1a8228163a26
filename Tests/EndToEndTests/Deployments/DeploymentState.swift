import Foundation

/// A deployment as the server's API gives it.
struct DeploymentState {
    struct Replica {
        let id: String
        let phase: String
        let processID: pid_t?
        let isOutdated: Bool
        let requestCount: Int
        let endpoint: String?
        let message: String
        let device: String?
        let utilization: Double?
        let gpuMemoryBytes: Int?
    }

    let status: String
    let reason: String
    let message: String
    let readyCount: Int
    let desiredCount: Int
    let revision: Int
    let generation: Int
    let config: [String: Any]
    let replicas: [Replica]

    init(_ json: [String: Any]) {
        status = json["status"] as? String ?? ""
        reason = json["statusReason"] as? String ?? ""
        message = json["statusMessage"] as? String ?? ""
        readyCount = json["currentReplicas"] as? Int ?? -1
        desiredCount = json["desiredReplicas"] as? Int ?? -1
        revision = json["revision"] as? Int ?? -1
        generation = json["generation"] as? Int ?? -1
        config = json["config"] as? [String: Any] ?? [:]
        replicas = (json["replicas"] as? [[String: Any]] ?? []).map { replica in
            Replica(
                id: replica["id"] as? String ?? "", phase: replica["phase"] as? String ?? "",
                processID: (replica["pid"] as? Int).map { pid_t($0) },
                isOutdated: replica["outdated"] as? Bool ?? false, requestCount: replica["requests"] as? Int ?? 0,
                endpoint: replica["endpoint"] as? String, message: replica["message"] as? String ?? "",
                device: replica["device"] as? String, utilization: replica["utilization"] as? Double,
                gpuMemoryBytes: replica["gpuMemoryBytes"] as? Int)
        }
    }

    /// Processes of the replicas that are ready, in order.
    var readyProcesses: [pid_t] { replicas.filter { $0.phase == "ready" }.compactMap(\.processID).sorted() }
}
