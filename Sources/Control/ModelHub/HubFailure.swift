import ServingJSON

/// What a failed request means for a person, and whether to try again.
enum HubFailure {
    /// The longest wait that a hub may impose.
    private static let longestWait: Int64 = 120

    /// - Returns: the error, and nil for one that stays, or how long to wait: `.some(nil)` leaves that to the caller.
    static func judge(
        _ failure: HTTPFailure, repository: String, hasToken: Bool
    ) -> (error: ModelHubError, wait: Duration??) {
        switch failure {
        case .final(let error): return (error, nil)
        case .broken(let reason):
            return (
                ModelHubError(.unreachable, reason, hint: "check the network and pull again; it resumes"), .some(nil)
            )
        case .status(let head, let text):
            let reason = explanation(head, text)
            switch head.status {
            case 401, 403:
                let hint =
                    hasToken
                    ? "the token lacks the right: accept the model's terms on its page, or use another token"
                    : "set HF_TOKEN to an access token, and accept the model's terms on its page if it has any"
                return (ModelHubError(.notAllowed, "\(repository): the hub refuses access\(reason)", hint: hint), nil)
            case 404:
                return (
                    ModelHubError(
                        .notFound, "\(repository): no such model, revision or file on the hub\(reason)",
                        hint: hasToken ? nil : "check the spelling; a private model needs HF_TOKEN"), nil
                )
            case 429:
                let wait = head.fields["retry-after"].flatMap { Int64($0) }.map { min(max($0, 0), longestWait) }
                let error = ModelHubError(
                    .unreachable, "\(repository): the hub limits the rate of requests\(reason)",
                    hint: "wait a little; a token (HF_TOKEN) raises the limit")
                return (error, .some(wait.map { .seconds($0) }))
            case 408, 500...599:
                let error = ModelHubError(
                    .unreachable, "\(repository): the hub fails with status \(head.status)\(reason)",
                    hint: "pull again later; it resumes")
                return (error, .some(nil))
            default:
                return (
                    ModelHubError(
                        .hubFailed, "\(repository): the hub answers with status \(head.status)\(reason)"), nil
                )
            }
        }
    }

    /// The hub's own words, from `X-Error-Message` or `{"error": ...}`, cut to one short line of plain characters.
    private static func explanation(_ head: HTTPHead, _ text: String) -> String {
        let json = try? JSONValue(parsing: text)
        guard let words = head.fields["x-error-message"] ?? json?["error"]?.stringValue else { return "" }
        let line = words.unicodeScalars.prefix(200).map { $0.properties.generalCategory == .control ? " " : String($0) }
        return ": " + line.joined()
    }
}
