extension Double {
    /// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
    var pythonText: String {
        if isNaN { return "nan" }
        if isInfinite { return self < 0 ? "-inf" : "inf" }
        if self == 0 { return sign == .minus ? "-0.0" : "0.0" }
        let (digits, point) = magnitude.shortestDigits
        let sign = self < 0 ? "-" : ""
        guard point > -4, point <= 16 else {
            let exponent = point - 1
            let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
            let magnitude = String(exponent.magnitude)
            let padded = magnitude.count < 2 ? "0" + magnitude : magnitude
            return sign + digits.prefix(1) + fraction + (exponent < 0 ? "e-" : "e+") + padded
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    /// Digits d1d2d3... and p so that the value is 0.d1d2d3... times ten to the p.
    private var shortestDigits: (digits: String, point: Int) {
        var digits: [UInt8] = []
        var point = 0
        var exponent = 0
        var seenPoint = false
        let text = Array(description.utf8)
        for (index, byte) in text.enumerated() {
            if byte == UInt8(ascii: "e") {
                exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
                break
            }
            if byte == UInt8(ascii: ".") {
                seenPoint = true
            } else {
                digits.append(byte)
                if !seenPoint { point += 1 }
            }
        }
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(zeros)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (String(decoding: digits, as: UTF8.self), point - zeros + exponent)
    }
}

extension Value {
    /// Python's `str`.
    func text(byteLimit: Int) throws(Failure) -> Text {
        switch self {
        case .string(let text): return text.isMarkup ? text.plain : text
        case .undefined: return ""
        case .integer(let value): return Text(String(value))
        default:
            var result = Text()
            try represent(into: &result, byteLimit: byteLimit, level: 0)
            return result
        }
    }

    /// Python's `repr`.
    func representation(byteLimit: Int) throws(Failure) -> Text {
        var result = Text()
        try represent(into: &result, byteLimit: byteLimit, level: 0)
        return result
    }

    private func represent(into result: inout Text, byteLimit: Int, level: Int) throws(Failure) {
        guard result.bytes.count <= byteLimit else {
            throw Failure(.limit, "text longer than \(byteLimit) bytes")
        }
        try Value.checkDepth(level)
        switch self {
        case .undefined: result.append("Undefined" as StaticString)
        case .none: result.append("None" as StaticString)
        case .bool(let value): result.append(value ? "True" : "False" as StaticString)
        case .integer(let value): result.append(Text(String(value)))
        case .float(let value): result.append(Text(value.pythonText))
        case .string(let text):
            result.append(text.isMarkup ? Text("Markup(") + text.quoted + Text(")") : text.quoted)
        case .list(let list):
            try Value.list(list.elements, "[", "]", into: &result, byteLimit, level)
        case .tuple(let list):
            try Value.list(list.elements, "(", list.elements.count == 1 ? ",)" : ")", into: &result, byteLimit, level)
        case .dictionary(let dictionary): try Value.members(dictionary, into: &result, byteLimit, level)
        case .view(let view):
            result.append(Text("dict_\(view.kind.rawValue)("))
            try Value.list(try view.elements, "[", "])", into: &result, byteLimit, level)
        case .range(let range):
            let step = range.step == 1 ? "" : ", \(range.step)"
            result.append(Text("range(\(range.start), \(range.stop)\(step))"))
        case .namespace(let namespace):
            let attributes = DictionaryValue()
            for (name, value) in zip(namespace.names, namespace.values) { try attributes.set(.string(name), value) }
            result.append("<Namespace " as StaticString)
            try Value.members(attributes, into: &result, byteLimit, level)
            result.append(">" as StaticString)
        case .macro(let macro):
            result.append(Text("<Macro \(macro.node.name.map { $0.quoted.string } ?? "anonymous")>"))
        case .loop(let loop): result.append(Text("<LoopContext \(loop.index0 + 1)/\(try loop.length())>"))
        case .iterator, .cycler, .joiner, .function, .method:
            result.append(Text("<\(typeName) object>"))
        }
    }

    private static func list(
        _ elements: [Value], _ open: String, _ close: String, into result: inout Text, _ byteLimit: Int, _ level: Int
    ) throws(Failure) {
        result.append(Text(open))
        for (index, element) in elements.enumerated() {
            if index > 0 { result.append(", " as StaticString) }
            try element.represent(into: &result, byteLimit: byteLimit, level: level + 1)
        }
        result.append(Text(close))
    }

    private static func members(
        _ dictionary: DictionaryValue, into result: inout Text, _ byteLimit: Int, _ level: Int
    ) throws(Failure) {
        result.append("{" as StaticString)
        for (index, (key, value)) in zip(dictionary.keys, dictionary.values).enumerated() {
            if index > 0 { result.append(", " as StaticString) }
            try key.represent(into: &result, byteLimit: byteLimit, level: level + 1)
            result.append(": " as StaticString)
            try value.represent(into: &result, byteLimit: byteLimit, level: level + 1)
        }
        result.append("}" as StaticString)
    }
}
