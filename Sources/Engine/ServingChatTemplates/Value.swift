/// A value while a template runs, with Python's distinctions.
enum Value {
    case undefined(UndefinedValue)
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(Text)
    case list(ListValue)
    case tuple(ListValue)
    case dictionary(DictionaryValue)
    case view(DictionaryView)
    case range(RangeValue)
    case iterator(ValueIterator)
    case namespace(NamespaceValue)
    case macro(MacroValue)
    case loop(LoopValue)
    case cycler(CyclerValue)
    case joiner(JoinerValue)
    case function(GlobalFunction)
    case method(MethodValue)
}

/// What a name or attribute that does not exist gives; using it for more than printing fails with `code` and `message`.
final class UndefinedValue {
    let message: String
    let code: ChatTemplateError.Code

    init(_ message: String, code: ChatTemplateError.Code = .undefined) {
        self.message = message
        self.code = code
    }

    var failure: Failure { Failure(code, message) }
}

/// The elements of a list or tuple; never changed, as the sandbox forbids it.
final class ListValue {
    let elements: [Value]
    /// Nesting below, bounded so that walking and freeing it cannot exhaust the stack.
    let depth: Int
    /// The tuples of `groupby` also answer to `grouper` and `list`.
    let isGroup: Bool

    /// Number of values below, each counted as often as it is reached.
    let size: Int

    init(_ elements: [Value], isGroup: Bool = false) throws(Failure) {
        self.elements = elements
        self.isGroup = isGroup
        var depth = 0
        var size = 1
        for element in elements {
            depth = max(depth, element.depth)
            size = Value.saturatingSum(size, element.size)
        }
        self.depth = depth + 1
        self.size = size
        try Value.checkDepth(self.depth)
    }
}

/// A dictionary in insertion order.
final class DictionaryValue {
    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    private(set) var depth = 1
    private(set) var size = 1
    private var index: [HashableKey: Int] = [:]

    init() {}

    init(_ members: [(Value, Value)]) throws(Failure) {
        for (key, value) in members { try set(key, value) }
    }

    var count: Int { keys.count }

    /// Only while it is being built.
    func set(_ key: Value, _ value: Value) throws(Failure) {
        depth = max(depth, value.depth + 1, key.depth + 1)
        size = Value.saturatingSum(size, Value.saturatingSum(key.size, value.size))
        try Value.checkDepth(depth)
        let hashable = try HashableKey(key)
        if let position = index[hashable] {
            values[position] = value
        } else {
            index[hashable] = keys.count
            keys.append(key)
            values.append(value)
        }
    }

    subscript(key: Value) -> Value? {
        get throws(Failure) { index[try HashableKey(key)].map { values[$0] } }
    }

    subscript(name: Text) -> Value? { index[.text(name.bytes)].map { values[$0] } }

    var pairs: [Value] {
        get throws(Failure) {
            var pairs: [Value] = []
            pairs.reserveCapacity(count)
            for (key, value) in zip(keys, values) { pairs.append(.tuple(try ListValue([key, value]))) }
            return pairs
        }
    }
}

/// `dict.keys()`, `dict.values()` or `dict.items()`.
final class DictionaryView {
    enum Kind: String { case keys, values, items }

    let kind: Kind
    let dictionary: DictionaryValue

    init(_ kind: Kind, of dictionary: DictionaryValue) {
        self.kind = kind
        self.dictionary = dictionary
    }

    var elements: [Value] {
        get throws(Failure) {
            switch kind {
            case .keys: dictionary.keys
            case .values: dictionary.values
            case .items: try dictionary.pairs
            }
        }
    }
}

final class RangeValue {
    let start: Int
    let stop: Int
    let step: Int
    let count: Int

    init(start: Int, stop: Int, step: Int) throws(Failure) {
        guard step != 0 else { throw Failure(.value, "range() arg 3 must not be zero") }
        let (span, overflow) =
            step > 0 ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
        let stride = step.magnitude
        let count = overflow ? UInt.max : span <= 0 ? 0 : (UInt(span) - 1) / stride + 1
        guard count <= ChatTemplateLimits.rangeLength else {
            throw Failure(.limit, "range too big: at most \(ChatTemplateLimits.rangeLength) elements")
        }
        self.start = start
        self.stop = stop
        self.step = step
        self.count = Int(count)
    }

    subscript(position: Int) -> Int { start + position * step }
    var elements: [Value] { (0..<count).map { .integer(self[$0]) } }
}

/// Values one after the other, each only once: what `map`, `select` and their like give.
final class ValueIterator {
    typealias Pull = () throws(Failure) -> Value?

    private let elements: [Value]
    private var position = 0
    private let pull: Pull?
    /// Iterators below this one.
    let depth: Int

    init(_ elements: [Value]) {
        self.elements = elements
        pull = nil
        depth = 1
    }

    init(above depth: Int = 0, _ pull: @escaping Pull) throws(Failure) {
        elements = []
        self.pull = pull
        self.depth = depth + 1
        guard depth < 100 else { throw Failure(.limit, "too many filters on one another") }
    }

    func next() throws(Failure) -> Value? {
        if let pull { return try pull() }
        guard position < elements.count else { return nil }
        position += 1
        return elements[position - 1]
    }

    func rest() throws(Failure) -> [Value] {
        guard pull != nil else {
            defer { position = elements.count }
            return position == 0 ? elements : Array(elements[position...])
        }
        var rest: [Value] = []
        while let value = try next() { rest.append(value) }
        return rest
    }
}

/// The only values that a template can change.
final class NamespaceValue {
    private(set) var names: [Text] = []
    private(set) var values: [Value] = []

    subscript(name: Text) -> Value? {
        get { names.firstIndex(of: name).map { values[$0] } }
        set {
            guard let newValue else { return }
            if let position = names.firstIndex(of: name) {
                values[position] = newValue
            } else {
                names.append(name)
                values.append(newValue)
            }
            depth = max(depth, newValue.depth + 1)
        }
    }

    /// Nesting below when each value was set: a namespace may come to hold itself.
    private(set) var depth = 0

    func clear() { values = [] }
}

final class MacroValue {
    let node: MacroNode
    var scope: Scope?

    init(_ node: MacroNode, scope: Scope) {
        self.node = node
        self.scope = scope
    }
}

final class CyclerValue {
    let items: [Value]
    var position = 0
    init(_ items: [Value]) { self.items = items }
}

final class JoinerValue {
    let separator: Value
    var isUsed = false
    init(_ separator: Value) { self.separator = separator }
}

/// A method bound to its value, as `text.split`.
final class MethodValue {
    let receiver: Value
    let name: String

    init(_ receiver: Value, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

enum GlobalFunction: String, CaseIterable {
    case range, dict, namespace, cycler, joiner, lipsum
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}

/// A value as a key: equal numbers are one key whatever their type, as in Python.
enum HashableKey: Hashable {
    case none
    case integer(Int)
    case float(Double)
    case text([UInt8])
    case tuple([HashableKey])
    case undefined
    case object(ObjectIdentifier)
    case function(String)

    init(_ value: Value) throws(Failure) {
        switch value {
        case .none: self = .none
        case .bool(let value): self = .integer(value ? 1 : 0)
        case .integer(let value): self = .integer(value)
        case .float(let value): self = Int(exactly: value).map { .integer($0) } ?? .float(value)
        case .string(let text): self = .text(text.bytes)
        case .tuple(let list):
            guard list.size <= ChatTemplateLimits.comparedValues else {
                throw Failure(.limit, "a key of more than \(ChatTemplateLimits.comparedValues) values")
            }
            var keys: [HashableKey] = []
            for element in list.elements { keys.append(try HashableKey(element)) }
            self = .tuple(keys)
        case .undefined: self = .undefined
        case .list, .dictionary, .view: throw Failure(.type, "unhashable type: '\(value.typeName)'")
        case .range(let object): self = .object(ObjectIdentifier(object))
        case .iterator(let object): self = .object(ObjectIdentifier(object))
        case .namespace(let object): self = .object(ObjectIdentifier(object))
        case .macro(let object): self = .object(ObjectIdentifier(object))
        case .loop(let object): self = .object(ObjectIdentifier(object))
        case .cycler(let object): self = .object(ObjectIdentifier(object))
        case .joiner(let object): self = .object(ObjectIdentifier(object))
        case .function(let function): self = .function(function.rawValue)
        case .method(let object): self = .object(ObjectIdentifier(object))
        }
    }
}

extension Value {
    static func checkDepth(_ depth: Int) throws(Failure) {
        guard depth <= ChatTemplateLimits.valueDepth else {
            throw Failure(.limit, "values nested more than \(ChatTemplateLimits.valueDepth) deep")
        }
    }

    static func text(_ string: String) -> Value { .string(Text(string)) }
    static func undefined(named name: String) -> Value { .undefined(UndefinedValue("'\(name)' is undefined")) }

    static func saturatingSum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Number of values below and this one.
    var size: Int {
        switch self {
        case .list(let list), .tuple(let list): list.size
        case .dictionary(let dictionary): dictionary.size
        case .view(let view): view.dictionary.size
        default: 1
        }
    }

    /// Nesting of lists and dictionaries below.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .view(let view): view.dictionary.depth + 1
        case .namespace(let namespace): namespace.depth + 1
        case .iterator(let iterator): iterator.depth
        case .cycler(let cycler): (cycler.items.map(\.depth).max() ?? 0) + 1
        case .joiner(let joiner): joiner.separator.depth + 1
        case .method(let method): method.receiver.depth + 1
        default: 0
        }
    }

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .float: "float"
        case .string(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .view(let view): "dict_\(view.kind.rawValue)"
        case .range: "range"
        case .iterator: "generator"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .loop: "LoopContext"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        case .function: "function"
        case .method: "builtin_function_or_method"
        }
    }

    /// How Jinja names a value in messages about what it lacks.
    var objectName: String {
        switch self {
        case .none: "None"
        case .namespace, .cycler, .joiner: "jinja2.utils.\(typeName) object"
        case .macro, .loop: "jinja2.runtime.\(typeName) object"
        default: "\(typeName) object"
        }
    }

    var isTruthy: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.elements.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .view(let view): view.dictionary.count > 0
        case .range(let range): range.count > 0
        default: true
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }

    /// The whole number of an int or bool.
    var integer: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var double: Double? {
        if case .float(let value) = self { value } else { integer.map(Double.init) }
    }

    var string: Text? { if case .string(let text) = self { text } else { nil } }
}
