/// A regular expression over Unicode scalars, compiled to a small program: the fallback for patterns without a
/// hand-written scanner, and these scanners' judge in tests.
///
/// Perl semantics (leftmost, first alternative) by backtracking. Once a search has taken more steps than the text
/// warrants, states known to fail are remembered, which bounds the time by program size times text length.
struct Pattern: Sendable {
    enum Instruction: Sendable {
        case scalar(Int)
        /// A run of one class; `most` < 0 for no bound. Gives back one scalar at a time unless possessive.
        case run(Int, least: Int, most: Int, isPossessive: Bool)
        /// Goes on at the first; if that fails, at the second.
        case split(Int, Int)
        case jump(Int)
        case assertion(PatternNode.Assertion)
        /// Runs the program from the next instruction to the matching `accept`, then goes on at `end`.
        case lookahead(end: Int, isNegated: Bool)
        case lookbehind(end: Int, scalarCount: Int, isNegated: Bool)
        case atomic(end: Int)
        case accept
    }

    let program: [Instruction]
    let classes: [PatternClass]

    /// Compiles a pattern in the syntax of ``PatternParser``.
    init(_ source: String) throws(TokenizerError) {
        var compiler = PatternCompiler(source: source)
        try compiler.compile(try PatternParser.parse(source))
        compiler.program.append(.accept)
        program = compiler.program
        classes = compiler.classes
    }
}

private struct PatternCompiler {
    let source: String
    var program: [Pattern.Instruction] = []
    var classes: [PatternClass] = []

    private static let sizeLimit = 20_000

    init(source: String) { self.source = source }

    private mutating func index(of set: PatternClass) -> Int {
        if let index = classes.firstIndex(of: set) { return index }
        classes.append(set)
        return classes.count - 1
    }

    mutating func compile(_ node: PatternNode) throws(TokenizerError) {
        guard program.count < Self.sizeLimit else {
            throw .invalidPattern(pattern: String(source.prefix(200)), offset: 0, reason: "too large")
        }
        switch node {
        case .empty: break
        case .scalar(let set): program.append(.scalar(index(of: set)))
        case .sequence(let parts): for part in parts { try compile(part) }
        case .alternatives(let parts): try compile(alternatives: parts)
        case .repeated(let part, let least, let most, let greed): try compile(part, least, most, greed)
        case .lookahead(let part, let isNegated):
            try compile(nested: part) { .lookahead(end: $0, isNegated: isNegated) }
        case .lookbehind(let part, let isNegated):
            let length = part.fixedLength ?? 0
            try compile(nested: part) { .lookbehind(end: $0, scalarCount: length, isNegated: isNegated) }
        case .atomic(let part): try compile(nested: part) { .atomic(end: $0) }
        case .assertion(let assertion): program.append(.assertion(assertion))
        }
    }

    private mutating func compile(
        nested part: PatternNode, _ instruction: (Int) -> Pattern.Instruction
    ) throws(TokenizerError) {
        let start = program.count
        program.append(.accept)
        try compile(part)
        program.append(.accept)
        program[start] = instruction(program.count)
    }

    private mutating func compile(alternatives parts: [PatternNode]) throws(TokenizerError) {
        var jumps: [Int] = []
        for (position, part) in parts.enumerated() {
            guard position < parts.count - 1 else {
                try compile(part)
                break
            }
            let split = program.count
            program.append(.accept)
            try compile(part)
            jumps.append(program.count)
            program.append(.accept)
            program[split] = .split(split + 1, program.count)
        }
        for jump in jumps { program[jump] = .jump(program.count) }
    }

    private mutating func compile(
        _ part: PatternNode, _ least: Int, _ most: Int?, _ greed: PatternNode.Greed
    ) throws(TokenizerError) {
        if case .scalar(let set) = part, greed != .lazy {
            program.append(
                .run(index(of: set), least: least, most: most ?? -1, isPossessive: greed == .possessive))
            return
        }
        if greed == .possessive {
            try compile(nested: .repeated(part, least: least, most: most, greed: .greedy)) { .atomic(end: $0) }
            return
        }
        for _ in 0..<least { try compile(part) }
        guard let most else {
            let split = program.count
            program.append(.accept)
            try compile(part)
            program.append(.jump(split))
            program[split] = branch(to: split + 1, past: program.count, greed)
            return
        }
        var splits: [Int] = []
        for _ in least..<max(least, most) {
            splits.append(program.count)
            program.append(.accept)
            try compile(part)
        }
        for split in splits { program[split] = branch(to: split + 1, past: program.count, greed) }
    }

    private func branch(to body: Int, past end: Int, _ greed: PatternNode.Greed) -> Pattern.Instruction {
        greed == .lazy ? .split(end, body) : .split(body, end)
    }
}
