import ArgumentParser
import ControlAPI
import Deployments
import ModelHub

/// The names of deployments that were there last, for shells that complete them: a small file, because a Tab must be
/// answered at once and also where no server runs.
enum DeploymentNames {
    /// Completes the name of a deployment.
    static let completion = CompletionKind.custom { _, _, prefix in known().filter { $0.hasPrefix(prefix) } }

    private static let limit = 10_000

    /// Where they are kept.
    static func path() -> String? {
        (try? PbctlDirectories()).map { $0.cache + "/deployment-names" }
    }

    /// The names in the file; empty where there is none.
    static func known(at path: String? = path()) -> [String] {
        guard let path, let text = try? TextFile.read(path) else { return [] }
        return text.split(separator: "\n").prefix(limit).map(String.init)
    }

    /// Keeps the names that a server told. What goes wrong is of no matter: they are a convenience.
    static func keep(_ names: [String], at path: String? = path()) {
        let names = Array(Array(Set(names)).sorted().prefix(limit))
        guard let path, names != known(at: path), let slash = path.lastIndex(of: "/"),
            (try? PbctlDirectories.create(String(path[..<slash]))) != nil
        else { return }
        try? TextFile.write(names.map { $0 + "\n" }.joined(), to: path)
    }

    /// Adds or takes away one.
    static func keep(_ view: DeploymentView, at path: String? = path()) {
        let names = known(at: path)
        if view.status == .deleted {
            keep(names.filter { $0 != view.name }, at: path)
        } else if !names.contains(view.name) {
            keep(names + [view.name], at: path)
        }
    }
}
