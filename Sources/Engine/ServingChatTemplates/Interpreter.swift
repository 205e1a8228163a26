import ServingJSON

/// Variables of one body. Reads go outward to the template's own variables; writes stay here.
final class Scope {
    private var ids: [Int] = []
    private var values: [Value] = []
    let parent: Scope?

    init(parent: Scope?) { self.parent = parent }

    func find(_ id: Int) -> Value? {
        var scope = self
        while true {
            if let position = scope.ids.lastIndex(of: id) { return scope.values[position] }
            guard let parent = scope.parent else { return nil }
            scope = parent
        }
    }

    func set(_ id: Int, _ value: Value) {
        if let position = ids.firstIndex(of: id) {
            values[position] = value
        } else {
            ids.append(id)
            values.append(value)
        }
    }

    func clear() {
        ids.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}

/// Runs a parsed template once. Every step and every byte made counts against the limits, so that no template runs
/// for long or grows without bound.
final class Interpreter {
    enum Flow { case normal, leaveLoop, nextIteration }

    let limits: ChatTemplateLimits
    let now: ChatTemplateDate
    /// Byte offset of what is being evaluated, for messages.
    var offset = 0
    var output: [UInt8] = []
    var scope = Scope(parent: nil)
    var recursion = 0
    let loopID: Int?
    private let names: [Text]
    private var rootScope: Scope
    private var globals: [Value?]
    private var stepsLeft: Int
    private var outputBytes = 0
    private let stackBase: UInt
    /// Objects that can hold one another in a circle; emptied at the end.
    private var namespaces: [NamespaceValue] = []
    private var macros: [MacroValue] = []
    private var loops: [LoopValue] = []

    init(names: [Text], limits: ChatTemplateLimits, now: ChatTemplateDate) {
        self.names = names
        self.limits = limits
        self.now = now
        stepsLeft = limits.steps
        rootScope = scope
        globals = Array(repeating: nil, count: names.count)
        stackBase = Interpreter.stackAddress()
        loopID = names.firstIndex(of: "loop")
    }

    func run(_ statements: [Statement], context: JSONObject) throws(Failure) -> String {
        for (id, name) in names.enumerated() {
            if let value = context[name.string] {
                globals[id] = try Value(value)
            } else if let function = GlobalFunction(rawValue: name.string) {
                globals[id] = .function(function)
            }
        }
        _ = try execute(statements)
        return String(decoding: output, as: UTF8.self)
    }

    func releaseCycles() {
        for namespace in namespaces { namespace.clear() }
        for macro in macros { macro.scope = nil }
        for loop in loops { loop.release() }
    }

    // MARK: Limits

    @inline(never) private static func stackAddress() -> UInt {
        var local = 0
        return withUnsafeMutablePointer(to: &local) { UInt(bitPattern: $0) }
    }

    /// Counts one step, and checks the stack: expressions, macros and values nest.
    func step() throws(Failure) {
        stepsLeft -= 1
        guard stepsLeft >= 0 else { throw Failure(.limit, "more than \(limits.steps) steps") }
        let address = Interpreter.stackAddress()
        let used = stackBase > address ? stackBase - address : address - stackBase
        guard used < UInt(max(limits.stackBytes, 0)) else { throw Failure(.limit, "nested too deeply for the stack") }
    }

    func spend(_ steps: Int) throws(Failure) {
        stepsLeft = stepsLeft.subtractingReportingOverflow(max(steps, 0)).partialValue
        guard stepsLeft >= 0 else { throw Failure(.limit, "more than \(limits.steps) steps") }
    }

    /// Counts the making of text; before it is made where it may be large.
    func spend(bytes: Int) throws(Failure) {
        guard bytes <= limits.outputBytes else { throw Failure(.limit, "text longer than \(limits.outputBytes) bytes") }
        try spend(bytes / 32)
    }

    func text(_ value: Value) throws(Failure) -> Text {
        let text = try value.text(byteLimit: limits.outputBytes)
        try spend(bytes: text.bytes.count)
        return text
    }

    func list(_ elements: [Value]) throws(Failure) -> Value {
        try spend(elements.count)
        return .list(try ListValue(elements))
    }

    func made(_ text: Text) throws(Failure) -> Value {
        try spend(bytes: text.bytes.count)
        return .string(text)
    }

    func register(_ namespace: NamespaceValue) { namespaces.append(namespace) }
    func register(_ loop: LoopValue) { loops.append(loop) }

    // MARK: Variables

    func lookup(_ id: Int) -> Value {
        if let value = scope.find(id) ?? globals[id] { return value }
        return .undefined(named: names[id].string)
    }

    func id(of name: Text) -> Int? { names.firstIndex(of: name) }

    /// Runs with a new scope inside `parent` and comes back to the present one.
    func scoped<T>(
        in parent: Scope? = nil, _ body: (Scope) throws(Failure) -> T
    ) throws(Failure) -> T {
        let outer = scope
        scope = Scope(parent: parent ?? outer)
        defer { scope = outer }
        return try body(scope)
    }

    /// What `body` writes, as text.
    func captured(_ body: () throws(Failure) -> Void) throws(Failure) -> Text {
        let outer = output
        output = []
        defer { output = outer }
        try body()
        return Text(bytes: output)
    }

    func write(_ bytes: [UInt8]) throws(Failure) {
        guard output.count + bytes.count <= limits.outputBytes else {
            throw Failure(.limit, "text longer than \(limits.outputBytes) bytes")
        }
        output.append(contentsOf: bytes)
        try spend(bytes.count / 32)
    }

    func assign(_ value: Value, to target: Target) throws(Failure) {
        switch target {
        case .name(let id): scope.set(id, value)
        case .attribute(let id, let name):
            guard case .namespace(let namespace) = lookup(id) else {
                throw Failure(.type, "cannot assign attribute on non-namespace object")
            }
            try spend(namespace.names.count)
            try Value.checkDepth(value.depth)
            namespace[name] = value
        case .tuple(let targets):
            let values = try elements(of: value)
            guard values.count == targets.count else {
                throw Failure(
                    .value, "\(values.count) values to unpack where \(targets.count) were expected")
            }
            for (target, value) in zip(targets, values) { try assign(value, to: target) }
        }
    }

    // MARK: Statements

    func execute(_ statements: [Statement]) throws(Failure) -> Flow {
        for statement in statements {
            offset = Int(statement.offset)
            try step()
            let flow = try execute(statement)
            guard flow == .normal else { return flow }
        }
        return .normal
    }

    private func execute(_ statement: Statement) throws(Failure) -> Flow {
        switch statement.kind {
        case .text(let bytes): try write(bytes)
        case .output(let expression): try write(try text(try evaluate(expression)).bytes)
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test).isTruthy { return try execute(branch.body) }
            return try execute(otherwise)
        case .loop(let node): try execute(node)
        case .set(let target, let expression): try assign(try evaluate(expression), to: target)
        case .setBlock, .filter, .with, .scope: return try executeBody(statement.kind)
        case .macro(let id, let node): scope.set(id, .macro(makeMacro(node)))
        case .call(let node, let callee, let arguments):
            let function = try evaluate(callee)
            var values = try evaluate(arguments)
            values.keywords.append(("caller", .macro(makeMacro(node))))
            try writeText(try call(function, values))
        case .leaveLoop: return .leaveLoop
        case .nextIteration: return .nextIteration
        }
        return .normal
    }

    private func executeBody(_ kind: Statement.Kind) throws(Failure) -> Flow {
        switch kind {
        case .setBlock(let target, let filters, let body):
            try assign(try filtered(body, by: filters), to: target)
        case .filter(let filters, let body):
            try writeText(try filtered(body, by: filters))
        case .with(let bindings, let body):
            var values: [Value] = []
            for binding in bindings { values.append(try evaluate(binding.value)) }
            return try scoped { (_) throws(Failure) in
                for (binding, value) in zip(bindings, values) { try assign(value, to: binding.target) }
                return try execute(body)
            }
        case .scope(let body, let seesLocals):
            return try scoped(in: seesLocals ? nil : rootScope) { (_) throws(Failure) in try execute(body) }
        default: break
        }
        return .normal
    }

    /// Writes what a filter or call block gave, which has to be text.
    private func writeText(_ value: Value) throws(Failure) {
        guard let text = value.string else {
            throw Failure(.type, "sequence item: expected str instance, \(value.typeName) found")
        }
        try write(text.bytes)
    }

    private func filtered(_ body: [Statement], by filters: [FilterCall]) throws(Failure) -> Value {
        let text = try captured { () throws(Failure) in
            _ = try scoped { (_) throws(Failure) in try execute(body) }
        }
        var value = Value.string(text)
        for filter in filters { value = try apply(filter, to: value) }
        return value
    }

    // MARK: Macros

    private func makeMacro(_ node: MacroNode) -> MacroValue {
        let macro = MacroValue(node, scope: scope)
        macros.append(macro)
        return macro
    }

    /// Counts a level of macro calls and recursive loops.
    func recursing<T>(_ body: () throws(Failure) -> T) throws(Failure) -> T {
        recursion += 1
        defer { recursion -= 1 }
        guard recursion <= limits.recursion else {
            throw Failure(.limit, "calls nested more than \(limits.recursion) deep")
        }
        return try body()
    }

    func call(_ macro: MacroValue, _ arguments: CallArguments) throws(Failure) -> Value {
        try recursing { () throws(Failure) in
            try scoped(in: macro.scope) { (scope) throws(Failure) in
                try bind(arguments, to: macro.node, in: scope)
                return .string(try captured { () throws(Failure) in _ = try execute(macro.node.body) })
            }
        }
    }

    private func bind(_ arguments: CallArguments, to node: MacroNode, in scope: Scope) throws(Failure) {
        let name = node.name.map { $0.quoted.string } ?? "None"
        var keywords = arguments.keywords
        func take(_ name: Text) -> Value? {
            keywords.firstIndex { $0.name == name }.map { keywords.remove(at: $0).value }
        }
        var missing: [MacroNode.Parameter] = []
        for (position, parameter) in node.parameters.enumerated() {
            if position < arguments.positional.count {
                scope.set(parameter.id, arguments.positional[position])
            } else if let value = take(parameter.name) {
                scope.set(parameter.id, value)
            } else {
                missing.append(parameter)
            }
        }
        if node.usesCaller, let id = id(of: "caller") {
            scope.set(id, take("caller") ?? .undefined(UndefinedValue("No caller defined")))
        }
        if node.usesKeywords, let id = id(of: "kwargs") {
            scope.set(id, .dictionary(try DictionaryValue(keywords.map { (.string($0.name), $0.value) })))
        } else if let unknown = keywords.first {
            throw Failure(.type, "macro \(name) takes no keyword argument \(unknown.name.quoted.string)")
        }
        let extra = Array(arguments.positional.dropFirst(node.parameters.count))
        if node.usesVarargs, let id = id(of: "varargs") {
            scope.set(id, .tuple(try ListValue(extra)))
        } else if !extra.isEmpty {
            throw Failure(.type, "macro \(name) takes not more than \(node.parameters.count) argument(s)")
        }
        for parameter in missing {
            let message = "parameter \(parameter.name.quoted.string) was not provided"
            scope.set(
                parameter.id,
                try parameter.defaultValue.map { (value) throws(Failure) in try evaluate(value) }
                    ?? .undefined(UndefinedValue(message)))
        }
    }
}

/// The values of a call's arguments.
struct CallArguments {
    var positional: [Value] = []
    var keywords: [(name: Text, value: Value)] = []

    init(_ positional: [Value] = [], keywords: [(name: Text, value: Value)] = []) {
        self.positional = positional
        self.keywords = keywords
    }

    /// The values for parameters in order, nil where none is given. Throws for unknown, repeated and excess ones.
    func bound(to names: [Text], of function: String, required: Int = 0) throws(Failure) -> [Value?] {
        guard positional.count <= names.count else {
            throw Failure(.type, "\(function) takes at most \(names.count) arguments, got \(positional.count)")
        }
        var values: [Value?] = positional
        values += Array(repeating: nil, count: names.count - positional.count)
        for (name, value) in keywords {
            guard let position = names.firstIndex(of: name) else {
                throw Failure(.type, "\(function) got an unexpected keyword argument \(name.quoted.string)")
            }
            guard values[position] == nil else {
                throw Failure(.type, "\(function) got two values for \(name.quoted.string)")
            }
            values[position] = value
        }
        for position in 0..<required where values[position] == nil {
            throw Failure(.type, "\(function) lacks the argument \(names[position].quoted.string)")
        }
        return values
    }
}
