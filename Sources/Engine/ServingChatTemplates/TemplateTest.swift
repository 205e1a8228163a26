/// The tests that `is` knows.
enum TemplateTest: String, CaseIterable {
    case odd, even, divisibleby, defined, undefined, filter, test, none, boolean, integer, float, lower, upper, string
    case mapping, number, sequence, iterable, callable, sameas, escaped
    case isTrue = "true", isFalse = "false", within = "in"
    case equalSign = "==", eq, equalto, notEqualSign = "!=", ne
    case greaterSign = ">", gt, greaterthan, ge, greaterOrEqualSign = ">="
    case lessSign = "<", lt, lessthan, le, lessOrEqualSign = "<="

    var comparison: ComparisonOperator? {
        switch self {
        case .equalSign, .eq, .equalto: .equal
        case .notEqualSign, .ne: .notEqual
        case .greaterSign, .gt, .greaterthan: .greater
        case .ge, .greaterOrEqualSign: .greaterOrEqual
        case .lessSign, .lt, .lessthan: .less
        case .le, .lessOrEqualSign: .lessOrEqual
        case .within: .within
        default: nil
        }
    }

    fileprivate var takesOperand: Bool { comparison != nil || self == .divisibleby || self == .sameas }
}

extension Interpreter {
    func test(_ test: TemplateTest, _ value: Value, _ arguments: CallArguments) throws(Failure) -> Bool {
        let operandNames: [Text] =
            switch test {
            case .divisibleby: ["num"]
            case .sameas: ["other"]
            case .within: ["seq"]
            case _ where test.takesOperand: ["other"]
            default: []
            }
        let operand =
            try arguments.bound(
                to: operandNames, of: "the test \(test.rawValue)", required: operandNames.count
            ).first ?? nil
        if let operand {
            if let comparison = test.comparison { return try holds(comparison, value, operand) }
            if test == .sameas { return value.isSame(as: operand) }
            return try Value.areEqual(try operate(.modulo, value, operand), .integer(0))
        }
        switch test {
        case .odd: return try Value.areEqual(try operate(.modulo, value, .integer(2)), .integer(1))
        case .even: return try Value.areEqual(try operate(.modulo, value, .integer(2)), .integer(0))
        case .filter: return try named(value).map { TemplateFilter(rawValue: $0) != nil } ?? false
        case .test: return try named(value).map { TemplateTest(rawValue: $0) != nil } ?? false
        case .lower: return try text(value).isAll(\.properties.isLowercase)
        case .upper: return try text(value).isAll(\.properties.isUppercase)
        default: return Interpreter.isKind(test, value)
        }
    }

    /// The name in a test for filters and tests; a value that cannot be a key fails as in Python.
    private func named(_ value: Value) throws(Failure) -> String? {
        _ = try HashableKey(value)
        return value.string?.string
    }

    private static func isKind(_ test: TemplateTest, _ value: Value) -> Bool {
        switch (test, value) {
        case (.undefined, .undefined), (.none, .none), (.boolean, .bool), (.integer, .integer), (.float, .float),
            (.string, .string), (.mapping, .dictionary), (.number, .bool), (.number, .integer), (.number, .float),
            (.sequence, .undefined), (.sequence, .string), (.sequence, .list), (.sequence, .tuple),
            (.sequence, .dictionary), (.sequence, .range), (.iterable, .undefined), (.iterable, .string),
            (.iterable, .list), (.iterable, .tuple), (.iterable, .dictionary), (.iterable, .view),
            (.iterable, .range), (.iterable, .iterator), (.iterable, .loop), (.isTrue, .bool(true)),
            (.isFalse, .bool(false)), (.callable, .undefined), (.callable, .macro), (.callable, .loop),
            (.callable, .joiner), (.callable, .function), (.callable, .method):
            return true
        case (.defined, _): return !value.isUndefined
        case (.escaped, .string(let text)): return text.isMarkup
        default: return false
        }
    }
}
