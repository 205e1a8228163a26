import ServingJSON
import ServingTensors

/// Finds which tokens begin and end sequences: tokenizer_config.json says so, else the post-processor, else names.
struct TokenizerRolesReader {
    let document: JSONValue
    let config: JSONValue?
    let added: [AddedToken]
    let vocabulary: Vocabulary

    private func token(_ name: String) -> TokenID? {
        let bytes = Array(name.utf8)
        if let token = added.first(where: { $0.content == bytes }) { return token.id }
        let id = bytes.withUnsafeBufferPointer { vocabulary.token(ofEntry: $0) }
        return id >= 0 ? id : nil
    }

    /// A token that the configuration names: a string, or an object with its content.
    private func configured(_ key: String) -> TokenID? {
        guard let value = config?[key], let name = value.stringValue ?? value["content"]?.stringValue else {
            return nil
        }
        return token(name)
    }

    /// Special tokens before and after the text in the template of single texts.
    private func template() -> (before: [String], after: [String]) {
        var processors: [JSONValue] = []
        if let value = document["post_processor"] { processors.append(value) }
        var names: (before: [String], after: [String]) = ([], [])
        while let processor = processors.popLast() {
            switch processor["type"]?.stringValue {
            case "Sequence": if processors.count < 100 { processors += processor["processors"]?.arrayValue ?? [] }
            case "TemplateProcessing":
                var isAfter = false
                for part in processor["single"]?.arrayValue ?? [] {
                    if part["Sequence"] != nil { isAfter = true }
                    guard let name = part["SpecialToken"]?["id"]?.stringValue else { continue }
                    if isAfter { names.after.append(name) } else { names.before.append(name) }
                }
            case "BertProcessing", "RobertaProcessing":
                if let name = processor["cls"]?[0]?.stringValue { names.before.append(name) }
                if let name = processor["sep"]?[0]?.stringValue { names.after.append(name) }
            default: break
            }
        }
        return names
    }

    func apply(to parts: inout TokenizerParts, unknown: TokenID?) {
        let template = template()
        let specialIDs = Set(added.filter(\.isSpecial).map(\.id))
        func named(_ names: [String]) -> TokenID? {
            names.lazy.compactMap { token($0) }.first { specialIDs.contains($0) }
        }
        parts.bosTokenID = configured("bos_token") ?? template.before.first.flatMap(token)
        parts.eosTokenID = configured("eos_token") ?? template.after.last.flatMap(token)
        if config == nil {
            parts.bosTokenID = parts.bosTokenID ?? named(TokenRoles.bos)
            parts.eosTokenID = parts.eosTokenID ?? named(TokenRoles.eos)
        }
        parts.unknownTokenID = unknown ?? configured("unk_token")
        parts.padTokenID = configured("pad_token")
        parts.addsBOS =
            config?["add_bos_token"]?.boolValue
            ?? (parts.bosTokenID != nil && template.before.contains { token($0) == parts.bosTokenID })
        parts.addsEOS =
            config?["add_eos_token"]?.boolValue
            ?? (parts.eosTokenID != nil && template.after.contains { token($0) == parts.eosTokenID })
        parts.endOfGenerationTokenIDs = TokenRoles.endOfGenerationTokens(
            { specialIDs.contains($0) }, token, known: [parts.eosTokenID])
    }
}
