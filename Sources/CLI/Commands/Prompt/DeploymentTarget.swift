import ControlClient
import Deployments

/// The deployment that a prompt or a conversation is for, where it is for one.
struct DeploymentTarget: Sendable {
    let client: ControlClient
    let name: DeploymentName

    /// Finds out whether words mean a deployment: `explicit` does always; else the first word does where there is one
    /// of that name, no model is named, and the server runs, or is not far: a name that a server told before brings it
    /// up.
    /// - Returns: the deployment, and the words that are left; nil where a model in this process is meant.
    static func find(
        _ words: [String], explicit: String?, namesModel: Bool, server: ServerOptions
    ) async throws -> (target: DeploymentTarget, words: [String])? {
        if let explicit {
            let name = try DeploymentArgument.checked(explicit)
            let client = try await server.client()
            _ = try await client.deployment(name)
            return (DeploymentTarget(client: client, name: name), words)
        }
        guard !namesModel, let first = words.first, let name = try? DeploymentName(first),
            let client = try await client(for: name, server)
        else { return nil }
        do throws(ControlClientError) {
            _ = try await client.deployment(name)
        } catch {
            if error.status == 404 { return nil }
            throw error
        }
        return (DeploymentTarget(client: client, name: name), Array(words.dropFirst()))
    }

    private static func client(for name: DeploymentName, _ server: ServerOptions) async throws -> ControlClient? {
        if let client = try await server.clientIfRunning() { return client }
        return DeploymentNames.known().contains(name.text) ? try await server.client() : nil
    }
}

extension CommandFailure {
    /// A failure to find a model for words of which the first may be a deployment's name with a mistake in it.
    func suggestingDeployment(for words: [String]) -> CommandFailure {
        guard status == ExitStatus.usage, let first = words.first, !first.contains(" "),
            let near = Spelling.nearest(to: first, among: DeploymentNames.known()), near != first
        else { return self }
        return CommandFailure(message, hint: "did you mean the deployment '\(near)'?", status: status)
    }
}
