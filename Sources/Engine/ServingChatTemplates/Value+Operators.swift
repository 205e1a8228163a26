import Glibc

extension Value {
    /// Python's `==`.
    static func areEqual(_ left: Value, _ right: Value, level: Int = 0) throws(Failure) -> Bool {
        try checkDepth(level)
        if level == 0 { try checkSize(left, right) }
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let left), .string(let right)): return left == right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            if left === right { return true }
            guard left.elements.count == right.elements.count else { return false }
            for (left, right) in zip(left.elements, right.elements) {
                guard try areEqual(left, right, level: level + 1) else { return false }
            }
            return true
        case (.dictionary(let left), .dictionary(let right)):
            guard left.count == right.count else { return false }
            for (key, value) in zip(left.keys, left.values) {
                guard let other = try right[key], try areEqual(value, other, level: level + 1) else { return false }
            }
            return true
        case (.range(let left), .range(let right)):
            guard left.count == right.count, left.count > 0 else { return left.count == right.count }
            return left.start == right.start && (left.count == 1 || left.step == right.step)
        case (.view(let left), .view(let right)):
            guard left.kind == right.kind, left.kind != .values else { return left === right }
            return try areEqual(.dictionary(left.dictionary), .dictionary(right.dictionary), level: level + 1)
        default:
            if let left = left.integer, let right = right.integer { return left == right }
            if let left = left.double, let right = right.double { return left == right }
            return left.isSame(as: right)
        }
    }

    private static func checkSize(_ left: Value, _ right: Value) throws(Failure) {
        guard min(left.size, right.size) <= ChatTemplateLimits.comparedValues else {
            throw Failure(.limit, "a comparison of more than \(ChatTemplateLimits.comparedValues) values")
        }
    }

    /// Python's `is`, as far as values have an identity here.
    func isSame(as other: Value) -> Bool {
        switch (self, other) {
        case (.none, .none): return true
        case (.bool(let left), .bool(let right)): return left == right
        case (.integer(let left), .integer(let right)): return left == right
        case (.string(let left), .string(let right)): return left == right
        case (.float, _), (.undefined, _), (.bool, _), (.integer, _), (.string, _), (.none, _): return false
        default:
            guard typeName == other.typeName, let left = identity, let right = other.identity else { return false }
            return left == right
        }
    }

    private var identity: HashableKey? {
        switch self {
        case .list(let list), .tuple(let list): .object(ObjectIdentifier(list))
        case .dictionary(let dictionary): .object(ObjectIdentifier(dictionary))
        case .view(let view): .object(ObjectIdentifier(view))
        default: try? HashableKey(self)
        }
    }

    /// Python's `<`, `<=`, `>`, `>=`.
    static func isOrdered(
        _ left: Value, _ right: Value, by comparison: ComparisonOperator, level: Int = 0
    ) throws(Failure) -> Bool {
        try checkDepth(level)
        if level == 0 { try checkSize(left, right) }
        switch (left, right) {
        case (.undefined(let value), _), (_, .undefined(let value)): throw value.failure
        case (.string(let left), .string(let right)): return compare(left, right, by: comparison)
        case (.list(let first), .list(let second)), (.tuple(let first), .tuple(let second)):
            for (left, right) in zip(first.elements, second.elements)
            where !(try areEqual(left, right, level: level + 1)) {
                return try isOrdered(left, right, by: comparison, level: level + 1)
            }
            return compare(first.elements.count, second.elements.count, by: comparison)
        default:
            if let left = left.integer, let right = right.integer { return compare(left, right, by: comparison) }
            if let left = left.double, let right = right.double { return compare(left, right, by: comparison) }
            throw Failure(
                .type,
                "'\(comparison.rawValue)' not supported between instances of '\(left.typeName)' and '\(right.typeName)'"
            )
        }
    }

    private static func compare<T: Comparable>(_ left: T, _ right: T, by comparison: ComparisonOperator) -> Bool {
        switch comparison {
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        case .equal, .within: left == right
        case .notEqual, .notWithin: left != right
        }
    }

    private static func unsupported(_ symbol: BinaryOperator, _ left: Value, _ right: Value) -> Failure {
        for value in [left, right] { if case .undefined(let value) = value { return value.failure } }
        return Failure(
            .type,
            "unsupported operand type(s) for \(symbol.rawValue): '\(left.typeName)' and '\(right.typeName)'")
    }

    private static var overflow: Failure { Failure(.value, "number does not fit in 64 bits") }

    private static func checked(_ result: (partialValue: Int, overflow: Bool)) throws(Failure) -> Value {
        guard !result.overflow else { throw overflow }
        return .integer(result.partialValue)
    }

    /// Arithmetic on two numbers; nil where one is none.
    static func arithmetic(_ symbol: BinaryOperator, _ left: Value, _ right: Value) throws(Failure) -> Value {
        if let left = left.integer, let right = right.integer { return try integers(symbol, left, right) }
        if let left = left.double, let right = right.double { return try doubles(symbol, left, right) }
        throw unsupported(symbol, left, right)
    }

    private static func integers(_ symbol: BinaryOperator, _ left: Int, _ right: Int) throws(Failure) -> Value {
        switch symbol {
        case .add: return try checked(left.addingReportingOverflow(right))
        case .subtract: return try checked(left.subtractingReportingOverflow(right))
        case .multiply: return try checked(left.multipliedReportingOverflow(by: right))
        case .divide:
            guard right != 0 else { throw Failure(.value, "division by zero") }
            return .float(Double(left) / Double(right))
        case .floorDivide, .modulo:
            guard right != 0 else { throw Failure(.value, "integer division or modulo by zero") }
            let (quotient, overflows) = left.dividedReportingOverflow(by: right)
            if overflows {
                guard symbol == .modulo else { throw overflow }
                return .integer(0)
            }
            let remainder = left - quotient * right
            let isOff = remainder != 0 && (remainder < 0) != (right < 0)
            if symbol == .floorDivide { return .integer(isOff ? quotient - 1 : quotient) }
            return .integer(isOff ? remainder + right : remainder)
        case .power: return try power(left, right)
        }
    }

    private static func power(_ base: Int, _ exponent: Int) throws(Failure) -> Value {
        guard exponent >= 0 else {
            guard base != 0 else { throw Failure(.value, "0.0 cannot be raised to a negative power") }
            return .float(pow(Double(base), Double(exponent)))
        }
        if exponent == 0 || base == 1 { return .integer(1) }
        if base == 0 { return .integer(0) }
        if base == -1 { return .integer(exponent % 2 == 0 ? 1 : -1) }
        guard exponent < 64 else { throw overflow }
        var result = 1
        for _ in 0..<exponent {
            let (product, overflows) = result.multipliedReportingOverflow(by: base)
            guard !overflows else { throw overflow }
            result = product
        }
        return .integer(result)
    }

    private static func doubles(_ symbol: BinaryOperator, _ left: Double, _ right: Double) throws(Failure) -> Value {
        switch symbol {
        case .add: return .float(left + right)
        case .subtract: return .float(left - right)
        case .multiply: return .float(left * right)
        case .divide:
            guard right != 0 else { throw Failure(.value, "float division by zero") }
            return .float(left / right)
        case .floorDivide, .modulo:
            guard right != 0 else { throw Failure(.value, "float floor division by zero") }
            let (quotient, remainder) = divmod(left, right)
            return .float(symbol == .floorDivide ? quotient : remainder)
        case .power:
            if left == 0, right < 0 { throw Failure(.value, "0.0 cannot be raised to a negative power") }
            if left < 0, right.isFinite, right != right.rounded() {
                throw Failure(.unsupported, "complex numbers are not supported")
            }
            let result = pow(left, right)
            if result.isInfinite, left.isFinite, right.isFinite {
                throw Failure(.value, "numerical result out of range")
            }
            return .float(result)
        }
    }

    /// As CPython's float_divmod: the remainder has the sign of the divisor, and the quotient is snapped to the
    /// nearest whole number below.
    private static func divmod(_ left: Double, _ right: Double) -> (Double, Double) {
        var remainder = fmod(left, right)
        var quotient = (left - remainder) / right
        if remainder != 0 {
            if (right < 0) != (remainder < 0) {
                remainder += right
                quotient -= 1
            }
        } else {
            remainder = copysign(0, right)
        }
        guard quotient != 0 else { return (copysign(0, left / right), remainder) }
        var floored = quotient.rounded(.down)
        if quotient - floored > 0.5 { floored += 1 }
        return (floored, remainder)
    }
}

extension Array {
    /// Positions in the order of a stable sort by `precedes`, which may fail.
    func sortedPositions(
        _ precedes: (Element, Element) throws(Failure) -> Bool
    ) throws(Failure) -> [Int] {
        var order = Array<Int>(0..<count)
        var merged = order
        var width = 1
        while width < count {
            var start = 0
            while start < count {
                let middle = Swift.min(start + width, count)
                let end = Swift.min(start + 2 * width, count)
                var (left, right, next) = (start, middle, start)
                while next < end {
                    let takesRight: Bool =
                        if left == middle { true } else if right == end { false } else {
                            try precedes(self[order[right]], self[order[left]])
                        }
                    merged[next] = takesRight ? order[right] : order[left]
                    if takesRight { right += 1 } else { left += 1 }
                    next += 1
                }
                start = end
            }
            swap(&order, &merged)
            width *= 2
        }
        return order
    }
}
