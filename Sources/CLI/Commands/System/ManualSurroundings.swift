import Glibc

/// What commands find around them and leave behind: environment, files, exit statuses. A page shows what touches its
/// command, the root's page all.
struct ManualSurroundings {
    /// The first word after `pbctl`, or nil for the root.
    let command: String?

    /// The three sections.
    var sections: [String] {
        section("ENVIRONMENT", macro: "Ev", Self.environment) + section("FILES", macro: "Pa", Self.files)
            + [".Sh EXIT STATUS"] + Mdoc.list(Self.statuses.map { ("\($0.status)", $0.text) })
    }

    private func section(_ title: String, macro: String, _ things: [Thing]) -> [String] {
        let shown = things.filter { thing in command.map { thing.commands?.contains($0) ?? true } ?? true }
        return [".Sh \(title)"] + Mdoc.list(shown.map { ("\(macro) \(Mdoc.literal($0.name))", $0.text) })
    }

    private struct Thing {
        let name: String
        let text: String
        /// The commands that it touches, or nil where that is every one.
        let commands: Set<String>?

        init(_ name: String, _ text: String, _ commands: Set<String>? = nil) {
            (self.name, self.text, self.commands) = (name, text, commands)
        }
    }

    private static let runningModels: Set<String> = ["prompt", "chat", "engine", "bench"]
    private static let talking: Set<String> = ["prompt", "chat"]
    private static let serverUsers: Set<String> = [
        "deploy", "apply", "diff", "get", "status", "update", "scale", "autoscale", "start", "stop", "restart",
        "delete",
        "rollout", "wait", "logs", "events", "metrics", "endpoint", "server", "prompt", "chat",
    ]
    private static let adapterUsers: Set<String> = ["adapters", "prompt", "chat", "engine"]
    private static let hubUsers: Set<String> = adapterUsers.union(["models"])

    private static let environment = [
        Thing(
            "PBCTL_MODEL", "The model to use where --model is not given: a file, a folder, or a pulled model's name.",
            runningModels.union(["tokenize", "adapters"])),
        Thing(
            "PBCTL_CPU_ISA",
            "Kernels to use: scalar, avx2 or avx512, instead of the best that the processor has. The answers are the "
                + "same with each.", runningModels.union(["doctor"])),
        Thing("PBCTL_NO_HISTORY", "Where set, the lines of conversations are not kept.", talking),
        Thing(
            "PBCTL_HOME",
            "One folder for all that pbctl keeps, in place of the XDG folders: config, state, cache, data."),
        Thing(
            "XDG_CONFIG_HOME , XDG_STATE_HOME , XDG_CACHE_HOME , XDG_DATA_HOME",
            "Where pbctl has its folders, each named pbctl, instead of ~/.config, ~/.local/state, ~/.cache and "
                + "~/.local/share. Relative paths are ignored."),
        Thing("HF_ENDPOINT", "The hub that models are pulled from (default: https://huggingface.co).", hubUsers),
        Thing(
            "HF_TOKEN", "The access token for the hub; without it, the one that the hub's own client saved.", hubUsers
        ),
        Thing("HF_HOME", "The folder with the saved token (default: ~/.cache/huggingface).", hubUsers),
        Thing("SSL_CERT_FILE", "Certificates of the authorities to trust, instead of the system's.", hubUsers),
        Thing(
            "https_proxy , http_proxy , all_proxy , no_proxy",
            "The proxy to reach the hub through, as libcurl reads them.",
            hubUsers),
        Thing(
            "LORAX_USE_GLOBAL_HF_TOKEN",
            "Where 1, requests to the server that bring no token use the server's own for the hub.", ["engine"]),
        Thing(
            "PBCTL_SERVER", "The address of the server to use, instead of this machine's own.", serverUsers),
        Thing(
            "PBCTL_NO_AUTOSTART", "Where 1, this machine's server is not started where it does not run.", serverUsers),
        Thing(
            "PBCTL_API_KEY", "The key that clients of a server must send; commands send it.",
            serverUsers.union(["engine"])),
        Thing("VISUAL , EDITOR", "The editor that /edit opens (default: vi).", talking),
        Thing("INPUTRC", "Key bindings of the line editor, instead of ~/.inputrc.", talking),
        Thing("NO_COLOR", "Where set and not empty: no colours."),
        Thing("CLICOLOR_FORCE", "Where set and not 0: colours even off a terminal."),
    ]

    private static let files = [
        Thing("~/.local/share/pbctl/models", "Pulled models, a folder each."),
        Thing("~/.local/share/pbctl/adapters", "Added adapters, a folder a version.", adapterUsers),
        Thing("~/.cache/pbctl/adapters", "Adapters fetched from a hub; may be removed at any time.", adapterUsers),
        Thing(
            "~/.local/state/pbctl/server",
            "What the server keeps: deployments and their history (state.db), its log (server.log), its replicas.",
            serverUsers),
        Thing("~/.cache/pbctl/deployment-names", "Names of deployments, for completion.", serverUsers),
        Thing("~/.local/state/pbctl/chat_history", "The lines of conversations, for the line editor.", talking),
        Thing("~/.cache/huggingface/token", "The saved access token for the hub; pbctl only reads it.", hubUsers),
        Thing("~/.inputrc", "Key bindings of the line editor; $if pbctl holds for pbctl alone.", talking),
    ]

    private static let statuses: [(status: Int32, text: String)] = [
        (ExitStatus.done, "Done."),
        (ExitStatus.failed, "Failed; one line on standard error says why."),
        (ExitStatus.usage, "The command line is wrong."),
        (ExitStatus.dataError, "A file that was given can't be: a deployment's config, a model."),
        (ExitStatus.noInput, "A file that was named is not there."),
        (ExitStatus.unreachable, "The server or the hub can't be reached."),
        (ExitStatus.tryAgain, "Not now, or not within the time given: the same command may work later."),
        (ExitStatus.interrupted, "Interrupted."),
        (128 + SIGPIPE, "The reader of the output has gone."),
    ]
}
