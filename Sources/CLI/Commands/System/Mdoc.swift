/// Text in the mdoc language, whose lines mean something else where they begin with a dot.
enum Mdoc {
    /// Columns of a source line; what readers see is filled by their own width.
    private static let width = 78

    /// Text as lines: none longer than needed, and a new one after each sentence, which tells the formatter how wide a
    /// space to set.
    static func prose(_ text: String) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
            if word.hasSuffix(".") || word.hasSuffix(".)") {
                lines.append(line)
                line = ""
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines.map { escaped($0, everyHyphen: false) }
    }

    /// One line that readers copy: its hyphens are those of the keyboard.
    static func literal(_ line: String) -> String { escaped(line, everyHyphen: true) }

    /// A list of things, each with its explanation.
    static func list(_ items: [(head: String, text: String)]) -> [String] {
        guard !items.isEmpty else { return [] }
        return [".Bl -tag -width Ds"] + items.flatMap { [".It \($0.head)"] + prose($0.text) } + [".El"]
    }

    /// A hyphen inside a word is a hyphen; one that begins a word begins an option.
    private static func escaped(_ text: String, everyHyphen: Bool) -> String {
        var result = ""
        var isInWord = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += isInWord && !everyHyphen ? "-" : "\\-"
            default: result.unicodeScalars.append(scalar)
            }
            isInWord = scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        }
        if let first = result.first, first == "." || first == "'" { result = "\\&" + result }
        return result
    }
}
