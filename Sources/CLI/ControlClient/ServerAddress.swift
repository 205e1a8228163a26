/// Which server a command talks to. The one place that decides it.
package enum ServerAddress: Sendable, Hashable {
    /// The server that belongs to a state folder of this machine; started where it doesn't run.
    case local
    /// A server somewhere, which nobody here starts.
    case remote(url: String)

    /// An option wins over `PBCTL_SERVER`; without either it is this machine's. `local` names that one, too.
    package init(option: String?, environment: (String) -> String?) {
        let given = [option, environment("PBCTL_SERVER")].compactMap { $0 }.first { !$0.isEmpty }
        guard let given, given != "local" else {
            self = .local
            return
        }
        self = .remote(url: given.contains("://") ? given : "http://\(given)")
    }
}
