import Glibc

/// Where CUDA's libraries may lie, in order: folders in `PBCTL_CUDA_PATH`, what the system's loader knows, the usual
/// folders of drivers and toolkits, and the folders that Python packages install into.
struct LibrarySearch: Sendable {
    private let first: [String]
    private let others: [String]
    private let asksLoader: Bool

    init(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
        first = (environment("PBCTL_CUDA_PATH") ?? "").split(separator: ":").map(String.init)
        let system = [
            "/usr/local/cuda/lib64", "/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl/lib",
        ]
        let homes = [
            environment("VIRTUAL_ENV"), environment("CONDA_PREFIX"), environment("HOME").map { $0 + "/.local" },
            "/usr/local", "/usr",
        ].compactMap { $0 }
        let wheels = homes.flatMap { home in
            Self.matches(home + "/lib/python3*/*-packages/nvidia/cu13/lib")
                + Self.matches(home + "/lib/python3*/*-packages/nvidia/{cublas,cuda_nvrtc}/lib")
        }
        others = system + wheels
        asksLoader = true
    }

    /// A search in these folders and nowhere else.
    init(folders: [String]) {
        first = folders
        others = []
        asksLoader = false
    }

    /// Paths to try for a library of one of these file names.
    func candidates(_ names: [String]) -> [String] {
        first.flatMap { folder in names.map { folder + "/" + $0 } } + (asksLoader ? names : [])
            + others.flatMap { folder in names.map { folder + "/" + $0 } }
    }

    private static func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, GLOB_BRACE, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
}
