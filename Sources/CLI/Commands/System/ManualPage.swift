import ArgumentParser
import ServingJSON

/// One command's manual page, in the mdoc language (https://mandoc.bsd.lv/man/mdoc.7.html).
struct ManualPage {
    /// The command as the parser dumps it.
    let command: JSONObject
    /// The words that call the command, `pbctl` first.
    let path: [String]
    /// Last words of the commands beside this one, its own among them, where they are worth a look from here.
    let siblings: [String]

    /// For instance `pbctl-models-pull.1`.
    var fileName: String { title + ".1" }

    /// The page.
    var text: String {
        var lines = [
            ".\\\" Made by 'pbctl generate-docs'. Change what the command declares, then run 'make man'.",
            ".Dd \(Version.date)", ".Dt \(title.uppercased()) 1", ".Os",
            ".Sh NAME", ".Nm \(title)", ".Nd \(Mdoc.literal(abstract))",
        ]
        lines += synopsis + description + options + commands
        lines += ManualSurroundings(command: path.count > 1 ? path[1] : nil).sections
        lines += examples + seeAlso
        return lines.joined(separator: "\n") + "\n"
    }

    /// The commands below this one that are shown to people.
    var children: [JSONObject] {
        Self.shown(command["subcommands"]).filter { $0["commandName"]?.stringValue != "help" }
    }

    private var title: String { path.joined(separator: "-") }
    private var arguments: [JSONObject] { Self.shown(command["arguments"]) }

    private static func shown(_ list: JSONValue?) -> [JSONObject] {
        (list?.arrayValue ?? []).compactMap(\.objectValue).filter { $0["shouldDisplay"]?.boolValue ?? true }
    }

    /// The abstract as a part of a sentence.
    private var abstract: String {
        let text = command["abstract"]?.stringValue ?? ""
        return text.prefix(1).lowercased() + (text.hasSuffix(".") ? text.dropFirst().dropLast() : text.dropFirst())
    }

    private var synopsis: [String] {
        var lines = [".Sh SYNOPSIS", ".Nm \(path.joined(separator: " "))"]
        if !children.isEmpty { lines.append(".Ar command") }
        lines.append(".Op Ar options")
        for argument in arguments where argument["kind"]?.stringValue == "positional" {
            let dots = argument["isRepeating"]?.boolValue == true ? " ..." : ""
            let name = argument["valueName"]?.stringValue ?? "value"
            lines.append((argument["isOptional"]?.boolValue == true ? ".Op Ar " : ".Ar ") + name + dots)
        }
        return lines
    }

    /// The abstract, the discussion up to its examples, and other names of the command.
    private var description: [String] {
        let (paragraphs, _) = discussion
        var lines = [".Sh DESCRIPTION"] + Mdoc.prose(command["abstract"]?.stringValue ?? "")
        for paragraph in paragraphs { lines += [".Pp"] + Mdoc.prose(paragraph) }
        let aliases = (command["aliases"]?.arrayValue ?? []).compactMap(\.stringValue)
        if !aliases.isEmpty {
            let names = aliases.map { (path.dropLast() + [$0]).joined(separator: " ") }
            lines += [".Pp"] + Mdoc.prose("Another name for it: \(names.joined(separator: ", ")).")
        }
        return lines
    }

    private var discussion: (paragraphs: [String], examples: [String]) {
        let text = command["discussion"]?.stringValue ?? ""
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = lines.firstIndex(of: "EXAMPLES:") ?? lines.endIndex
        let paragraphs = lines[..<start].split(separator: "").map { $0.joined(separator: " ") }
        let examples = lines[start...].dropFirst().map { String($0.hasPrefix("  ") ? $0.dropFirst(2) : $0) }
        return (paragraphs, examples)
    }

    /// Arguments and options, those of a group under its title.
    private var options: [String] {
        var titles: [String] = []
        for title in arguments.compactMap({ $0["sectionTitle"]?.stringValue }) where !titles.contains(title) {
            titles.append(title)
        }
        let plain = arguments.filter { $0["sectionTitle"]?.stringValue == nil }
        var lines = [".Sh OPTIONS"] + Mdoc.list(plain.map(Self.item))
        for title in titles {
            let group = arguments.filter { $0["sectionTitle"]?.stringValue == title }
            lines += [".Ss \(title)"] + Mdoc.list(group.map(Self.item))
        }
        return lines
    }

    private static func item(_ argument: JSONObject) -> (head: String, text: String) {
        let values = (argument["allValues"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", ")
        let facts = [
            values.isEmpty ? nil : "values: \(values)",
            argument["defaultValue"]?.stringValue.map { "default: \($0)" },
        ].compactMap { $0 }
        let note = facts.isEmpty ? "" : " (\(facts.joined(separator: "; ")))"
        return (heading(argument), (argument["abstract"]?.stringValue ?? "") + note)
    }

    private static func heading(_ argument: JSONObject) -> String {
        let valueName = argument["valueName"]?.stringValue ?? "value"
        guard argument["kind"]?.stringValue != "positional" else { return "Ar \(valueName)" }
        let names = (argument["names"]?.arrayValue ?? []).compactMap { name -> String? in
            guard let text = name["name"]?.stringValue else { return nil }
            return "Fl " + Mdoc.literal(name["kind"]?.stringValue == "long" ? "-" + text : text)
        }
        // Short forms first, as getopt's users expect.
        let sorted = names.sorted { $0.count < $1.count }.joined(separator: " , ")
        return sorted + (argument["kind"]?.stringValue == "option" ? " Ar \(valueName)" : "")
    }

    private var commands: [String] {
        var items = children.map { child in
            (
                head: "Cm " + Mdoc.literal(child["commandName"]?.stringValue ?? ""),
                text: child["abstract"]?.stringValue ?? ""
            )
        }
        if command["commandName"]?.stringValue == ChatCommand.configuration.commandName {
            items += ChatVerb.allCases.map { verb in
                (
                    head: "Cm " + Mdoc.literal(verb.usage),
                    text: verb.summary.prefix(1).uppercased() + verb.summary.dropFirst() + "."
                )
            }
        }
        return items.isEmpty ? [] : [".Sh COMMANDS"] + Mdoc.list(items)
    }

    private var examples: [String] {
        let (_, examples) = discussion
        return examples.isEmpty ? [] : [".Sh EXAMPLES", ".Bd -literal"] + examples.map(Mdoc.literal) + [".Ed"]
    }

    private var seeAlso: [String] {
        let parent = path.dropLast()
        var names = Set(siblings.map { (parent + [$0]).joined(separator: "-") })
        names.formUnion(children.compactMap { $0["commandName"]?.stringValue }.map { "\(title)-\($0)" })
        if let root = path.first { names.insert(root) }
        names.insert(parent.joined(separator: "-"))
        names.subtract([title, ""])
        let sorted = names.sorted()
        let references = sorted.map { ".Xr \($0) 1" + ($0 == sorted.last ? "" : " ,") }
        return references.isEmpty ? [] : [".Sh SEE ALSO"] + references
    }
}
