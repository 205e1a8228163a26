import CProcess
import Deployments

/// The environment of a replica's process: the few variables of ours that it needs, what its request sets, and its
/// mark.
enum LaunchEnvironment {
    private static let names: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
        "NO_PROXY",
    ]
    private static let prefixes = ["PBCTL_", "HF_", "XDG_", "CUDA_", "NVIDIA_", "LC_"]

    /// The server's own: a replica, which its server alone talks to, would ask it for the key.
    private static let withheld: Set<String> = ["PBCTL_API_KEY"]

    static func isPassedOn(_ name: String) -> Bool {
        !withheld.contains(name) && (names.contains(name) || prefixes.contains { name.hasPrefix($0) })
    }

    /// Variables of this process by name.
    static func ofThisProcess() -> [String: String] {
        var result: [String: String] = [:]
        guard var next = pbctl_environment() else { return [:] }
        while let variable = next.pointee {
            let text = String(cString: variable)
            if let equals = text.firstIndex(of: "="), equals != text.startIndex {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return result
    }

    /// `NAME=value` for each variable, in order of names.
    static func variables(
        ours: [String: String], request: ReplicaLaunchRequest, folder: String
    ) throws(LauncherError) -> [String] {
        var result = ours.filter { isPassedOn($0.key) }
        for (name, value) in request.environment {
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                throw LauncherError(.refused, "replica \(request.id): \"\(name)\" can't be set in an environment")
            }
            result[name] = value
        }
        result[ProcessMark.idVariable] = request.id.text
        result[ProcessMark.folderVariable] = folder
        return result.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}
