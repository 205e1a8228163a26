import Terminal

/// Lines of a difference.
enum TextLine {
    static func removed(_ text: String, _ isColored: Bool) -> String {
        TextStyle.red("  - \(text)", colored: isColored)
    }

    static func added(_ text: String, _ isColored: Bool) -> String {
        TextStyle.green("  + \(text)", colored: isColored)
    }
}
