/// The `loop` variable, which also steps through the sequence.
final class LoopValue {
    private let iterator: ValueIterator
    private var buffered: [Value] = []
    private var bufferedStart = 0
    private var knownLength: Int?
    private(set) var index0 = -1
    private(set) var previous: Value?
    private(set) var current: Value?
    let depth0: Int
    private var lastChecked: Value?
    /// The loop's node and the scope around it, for a recursive loop.
    private(set) var recursive: (node: LoopNode, scope: Scope)?

    init(_ iterator: ValueIterator, length: Int?, depth0: Int, recursive: (node: LoopNode, scope: Scope)?) {
        self.iterator = iterator
        knownLength = length
        self.depth0 = depth0
        self.recursive = recursive
    }

    func release() {
        recursive = nil
        previous = nil
        current = nil
        lastChecked = nil
        buffered = []
        bufferedStart = 0
    }

    func next() throws(Failure) -> Value? {
        guard let value = try peek() else { return nil }
        bufferedStart += 1
        if bufferedStart == buffered.count {
            buffered.removeAll(keepingCapacity: true)
            bufferedStart = 0
        }
        index0 += 1
        previous = current
        current = value
        return value
    }

    func peek() throws(Failure) -> Value? {
        if bufferedStart < buffered.count { return buffered[bufferedStart] }
        guard let value = try iterator.next() else { return nil }
        buffered.append(value)
        return value
    }

    func length() throws(Failure) -> Int {
        if let knownLength { return knownLength }
        buffered.append(contentsOf: try iterator.rest())
        let length = buffered.count - bufferedStart + index0 + 1
        knownLength = length
        return length
    }

    /// Whether the values differ from those of the last call.
    func changed(_ values: [Value]) throws(Failure) -> Bool {
        let value = Value.tuple(try ListValue(values))
        if let lastChecked, try Value.areEqual(lastChecked, value) { return false }
        lastChecked = value
        return true
    }

    func attribute(_ name: String) throws(Failure) -> Value? {
        switch name {
        case "index": .integer(index0 + 1)
        case "index0": .integer(index0)
        case "first": .bool(index0 == 0)
        case "last": .bool(try peek() == nil)
        case "length": .integer(try length())
        case "revindex": .integer(try length() - index0)
        case "revindex0": .integer(try length() - index0 - 1)
        case "depth": .integer(depth0 + 1)
        case "depth0": .integer(depth0)
        case "previtem":
            index0 == 0 ? .undefined(UndefinedValue("there is no previous item")) : previous ?? .none
        case "nextitem": try peek() ?? .undefined(UndefinedValue("there is no next item"))
        case "cycle", "changed": .method(MethodValue(.loop(self), name))
        default: nil
        }
    }
}

extension Interpreter {
    func execute(_ node: LoopNode) throws(Failure) {
        let sequence = try evaluate(node.sequence)
        guard node.isRecursive else { return try run(node, over: sequence, depth0: 0, around: scope) }
        let text = try recursiveText(node, over: sequence, depth0: 0, around: scope)
        try write(text.bytes)
    }

    /// What `loop(children)` gives inside a recursive loop.
    func recurse(_ loop: LoopValue, over sequence: Value) throws(Failure) -> Value {
        guard let (node, scope) = loop.recursive else {
            throw Failure(.type, "The loop must have the 'recursive' marker to be called recursively.")
        }
        return .string(try recursiveText(node, over: sequence, depth0: loop.depth0 + 1, around: scope))
    }

    private func recursiveText(
        _ node: LoopNode, over sequence: Value, depth0: Int, around scope: Scope
    ) throws(Failure) -> Text {
        try recursing { () throws(Failure) in
            try captured { () throws(Failure) in try run(node, over: sequence, depth0: depth0, around: scope) }
        }
    }

    private func run(
        _ node: LoopNode, over sequence: Value, depth0: Int, around surrounding: Scope
    ) throws(Failure) {
        let outer = scope
        defer { scope = outer }
        let base = try iterator(over: sequence)
        let filtered = try node.filter.map { (filter) throws(Failure) in
            try self.filtered(base, by: filter, as: node.target, around: surrounding)
        }
        let loop = LoopValue(
            filtered ?? base, length: filtered == nil ? try length(of: sequence) : nil, depth0: depth0,
            recursive: node.isRecursive ? (node, surrounding) : nil)
        register(loop)
        var inner = Scope(parent: surrounding)
        var hasCompleted = false
        while let value = try loop.next() {
            try step()
            // A macro may have kept the scope of the last iteration.
            if isKnownUniquelyReferenced(&inner) { inner.clear() } else { inner = Scope(parent: surrounding) }
            scope = inner
            try assign(value, to: node.target)
            if let id = loopID { inner.set(id, .loop(loop)) }
            let flow = try execute(node.body)
            scope = outer
            if flow == .leaveLoop { break }
            if flow == .normal { hasCompleted = true }
        }
        // As Jinja compiles it, an iteration that ends with break or continue does not count.
        guard !hasCompleted, !node.otherwise.isEmpty else { return }
        scope = Scope(parent: surrounding)
        _ = try execute(node.otherwise)
    }

    private func filtered(
        _ base: ValueIterator, by filter: Expression, as target: Target, around surrounding: Scope
    ) throws(Failure) -> ValueIterator {
        try ValueIterator(above: base.depth) { [unowned self] () throws(Failure) in
            while let value = try base.next() {
                let isKept = try self.scoped(in: surrounding) { (scope) throws(Failure) in
                    try self.step()
                    try self.assign(value, to: target)
                    return try self.evaluate(filter).isTruthy
                }
                if isKept { return value }
            }
            return nil
        }
    }
}
