extension Unicode.Scalar {
    var isCased: Bool {
        properties.isUppercase || properties.isLowercase || properties.generalCategory == .titlecaseLetter
    }
    var isPythonAlpha: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
    var isPythonDecimal: Bool { properties.generalCategory == .decimalNumber }
    var isPythonDigit: Bool { properties.numericType == .decimal || properties.numericType == .digit }
    var isPythonNumeric: Bool { properties.numericType != nil }
    var isPythonAlphanumeric: Bool { isPythonAlpha || isPythonDecimal || isPythonDigit || isPythonNumeric }
    /// What a regular expression's `\w` takes.
    var isWord: Bool { isPythonAlphanumeric || self == "_" }
    /// What `repr` shows as it stands.
    var isPrintable: Bool {
        if isASCII { return value >= 0x20 && value < 0x7F }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }
}

extension Text {
    private func mapped(_ transform: (Unicode.Scalar) -> String) -> Text {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for scalar in scalars { result.append(contentsOf: transform(scalar).utf8) }
        return Text(bytes: result, isMarkup: isMarkup)
    }

    var uppercased: Text {
        if isASCII { return Text(bytes: bytes.map { $0 &- 0x61 < 26 ? $0 ^ 0x20 : $0 }, isMarkup: isMarkup) }
        return mapped(\.properties.uppercaseMapping)
    }

    var lowercased: Text {
        if isASCII { return Text(bytes: bytes.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, isMarkup: isMarkup) }
        let all = scalars
        guard all.contains("\u{3A3}") else { return mapped(\.properties.lowercaseMapping) }
        var result = Text()
        for (position, scalar) in all.enumerated() {
            if scalar == "\u{3A3}" {
                result.append(Text.isFinalSigma(all, position) ? "\u{3C2}" : "\u{3C3}" as Unicode.Scalar)
            } else {
                for mapped in scalar.properties.lowercaseMapping.unicodeScalars { result.append(mapped) }
            }
        }
        return result.marked(isMarkup)
    }

    /// A capital sigma after a cased letter and not before one is written as a final sigma.
    private static func isFinalSigma(_ scalars: [Unicode.Scalar], _ position: Int) -> Bool {
        let before = scalars[..<position].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(position + 1)...].first { !$0.properties.isCaseIgnorable }
        return before.map(\.isCased) ?? false && !(after.map(\.isCased) ?? false)
    }

    var capitalized: Text {
        guard count > 0 else { return self }
        let head = Text(scalars[0].properties.titlecaseMapping)
        return (head + self[1..<count].lowercased).marked(isMarkup)
    }

    /// `str.title`: the first letter of each run of letters.
    var titlecased: Text {
        var previousIsCased = false
        return mapped { scalar in
            defer { previousIsCased = scalar.isCased }
            return previousIsCased ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
        }
    }

    var swapcased: Text {
        mapped { scalar in
            if scalar.properties.isUppercase { return scalar.properties.lowercaseMapping }
            return scalar.properties.isLowercase ? scalar.properties.uppercaseMapping : String(Character(scalar))
        }
    }

    /// True where there is a cased letter and all of them are of the given case.
    func isAll(_ isCase: (Unicode.Scalar) -> Bool) -> Bool {
        var found = false
        for scalar in scalars where scalar.isCased {
            guard isCase(scalar) else { return false }
            found = true
        }
        return found
    }

    func isNonEmptyAll(_ matches: (Unicode.Scalar) -> Bool) -> Bool { !isEmpty && scalars.allSatisfy(matches) }

    /// The text for HTML, as MarkupSafe escapes it.
    var escaped: Text {
        if isMarkup { return self }
        var result: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "&"): result.append(contentsOf: "&amp;".utf8)
            case UInt8(ascii: "<"): result.append(contentsOf: "&lt;".utf8)
            case UInt8(ascii: ">"): result.append(contentsOf: "&gt;".utf8)
            case UInt8(ascii: "'"): result.append(contentsOf: "&#39;".utf8)
            case UInt8(ascii: "\""): result.append(contentsOf: "&#34;".utf8)
            default: result.append(byte)
            }
        }
        return Text(bytes: result, isMarkup: true)
    }

    /// Python's `repr` of a string.
    var quoted: Text {
        let quote: Unicode.Scalar =
            bytes.contains(UInt8(ascii: "'")) && !bytes.contains(UInt8(ascii: "\"")) ? "\"" : "'"
        var result = Text()
        result.append(quote)
        for scalar in scalars {
            switch scalar {
            case quote, "\\":
                result.append("\\" as Unicode.Scalar)
                result.append(scalar)
            case "\n": result.append("\\n" as StaticString)
            case "\r": result.append("\\r" as StaticString)
            case "\t": result.append("\\t" as StaticString)
            case _ where scalar.isPrintable: result.append(scalar)
            default: result.append(Text(Text.numericEscape(scalar.value)))
            }
        }
        result.append(quote)
        return result
    }

    /// `\\xNN`, `\\uNNNN` or `\\UNNNNNNNN`.
    static func numericEscape(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        let (letter, width) = value < 0x100 ? ("x", 2) : value < 0x10000 ? ("u", 4) : ("U", 8)
        return "\\" + letter + String(repeating: "0", count: width - digits.count) + digits
    }
}
