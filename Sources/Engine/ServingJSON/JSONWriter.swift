/// How a JSON value is laid out as text.
public enum JSONStyle: Sendable {
    /// On one line without spaces: `{"a":[1,2]}`.
    case compact
    /// One member or element a line, indented by two spaces.
    case pretty
}

extension JSONValue {
    /// The value as JSON text. NaN and infinities, which JSON lacks, are written as null. All characters but
    /// quotation marks, backslashes and control characters stand for themselves.
    public func text(style: JSONStyle = .compact) -> String {
        var writer = JSONWriter(style: style)
        writer.write(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

struct JSONWriter {
    let style: JSONStyle
    private(set) var bytes: [UInt8] = []
    private var depth = 0

    init(style: JSONStyle) { self.style = style }

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(String(value))
        case .number(let value): append(value.isFinite ? shortest(value) : "null")
        case .string(let value): write(value)
        case .array(let elements):
            list("[", "]", elements) { writer, element in writer.write(element) }
        case .object(let object):
            list("{", "}", object.members) { writer, member in
                writer.write(member.0)
                writer.append(writer.style == .compact ? ":" : ": ")
                writer.write(member.1)
            }
        }
    }

    private mutating func list<Items: Sequence>(
        _ open: String, _ close: String, _ items: Items, _ write: (inout JSONWriter, Items.Element) -> Void
    ) {
        append(open)
        depth += 1
        var isFirst = true
        for item in items {
            if !isFirst { append(",") }
            isFirst = false
            breakLine()
            write(&self, item)
        }
        depth -= 1
        if !isFirst { breakLine() }
        append(close)
    }

    private mutating func breakLine() {
        guard style == .pretty else { return }
        append("\n")
        for _ in 0..<depth { append("  ") }
    }

    /// The shortest digits that read back as the same number, without a `.0` that JSON readers don't need; they do need
    /// it after a negative zero, which would be a whole number without a sign.
    private func shortest(_ value: Double) -> String {
        let text = value.description
        return text.hasSuffix(".0") && !(value == 0 && value.sign == .minus) ? String(text.dropLast(2)) : text
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func write(_ string: String) {
        append("\"")
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            case ..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                append("\\u00" + (digits.count == 1 ? "0" : "") + digits)
            default: bytes.append(byte)
            }
        }
        append("\"")
    }
}
