/// A regular expression over module names, as PEFT's `rank_pattern` and `alpha_pattern` have for keys, and
/// `target_modules` and `exclude_modules` may be.
///
/// All states are followed at once, so that no pattern of a stranger's file takes longer than its size times the name's
/// length. Syntax: what module names need of Python's `re`; the rest is refused rather than guessed.
public struct ModulePattern: Sendable, Equatable {
    enum Instruction: Sendable, Equatable {
        case byte(ByteSet)
        case split(Int, Int)
        case jump(Int)
        /// At the first byte of the whole name.
        case start
        /// After the last.
        case end
        /// Where a word begins or ends.
        case boundary
        case accept
    }

    /// The pattern as written.
    public let source: String
    private let program: [Instruction]

    private static let sizeLimit = 4000
    /// Parts that are compiled, those among them that add nothing to the program: repeats of repeats of nothing are
    /// many.
    private static let stepLimit = 20_000

    /// Compiles a pattern; nil where it uses syntax that is not known here, or is too large.
    init?(_ source: String) {
        var parser = ModulePatternParser(source)
        guard let node = parser.parse() else { return nil }
        self.source = source
        var program: [Instruction] = []
        var steps = 0
        guard Self.compile(node, into: &program, &steps) else { return nil }
        program.append(.accept)
        self.program = program
    }

    private static func compile(
        _ node: ModulePatternNode, into program: inout [Instruction], _ steps: inout Int
    ) -> Bool {
        steps += 1
        guard program.count < sizeLimit, steps < stepLimit else { return false }
        switch node {
        case .byte(let set): program.append(.byte(set))
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .boundary: program.append(.boundary)
        case .sequence(let parts):
            for part in parts { guard compile(part, into: &program, &steps) else { return false } }
        case .alternatives(let parts): return compile(alternatives: parts, into: &program, &steps)
        case .repeated(let part, let least, let most):
            for _ in 0..<least { guard compile(part, into: &program, &steps) else { return false } }
            guard let most else { return compile(loop: part, into: &program, &steps) }
            var skips: [Int] = []
            for _ in least..<max(most, least) {
                skips.append(program.count)
                program.append(.jump(0))
                guard compile(part, into: &program, &steps) else { return false }
            }
            for skip in skips { program[skip] = .split(skip + 1, program.count) }
        }
        return true
    }

    private static func compile(
        loop part: ModulePatternNode, into program: inout [Instruction], _ steps: inout Int
    ) -> Bool {
        let head = program.count
        program.append(.jump(0))
        guard compile(part, into: &program, &steps) else { return false }
        program.append(.jump(head))
        program[head] = .split(head + 1, program.count)
        return true
    }

    private static func compile(
        alternatives parts: [ModulePatternNode], into program: inout [Instruction], _ steps: inout Int
    ) -> Bool {
        var exits: [Int] = []
        for (index, part) in parts.enumerated() {
            let head = program.count
            let isLast = index == parts.count - 1
            if !isLast { program.append(.jump(0)) }
            guard compile(part, into: &program, &steps) else { return false }
            guard !isLast else { break }
            exits.append(program.count)
            program.append(.jump(0))
            program[head] = .split(head + 1, program.count)
        }
        for exit in exits { program[exit] = .jump(program.count) }
        return true
    }

    /// Whether `(.*\.)?(pattern)$` matches a module's whole name, which is how PEFT looks keys up.
    func matchesTail(of name: String) -> Bool { matches(Array(name.utf8), alsoAfterDots: true) }

    /// Whether the pattern matches a module's whole name, as Python's `re.fullmatch` does.
    func matchesWhole(_ name: String) -> Bool { matches(Array(name.utf8), alsoAfterDots: false) }

    private func matches(_ bytes: [UInt8], alsoAfterDots: Bool) -> Bool {
        var states = Set<Int>()
        for position in 0...bytes.count {
            if position == 0 || alsoAfterDots && bytes[position - 1] == UInt8(ascii: ".") {
                follow(0, at: position, of: bytes, into: &states)
            }
            guard position < bytes.count else { break }
            var next = Set<Int>()
            for state in states {
                if case .byte(let set) = program[state], set.contains(bytes[position]) {
                    follow(state + 1, at: position + 1, of: bytes, into: &next)
                }
            }
            states = next
        }
        return states.contains(program.count - 1)
    }

    /// Adds a state and all that it leads to without a byte.
    private func follow(_ first: Int, at position: Int, of bytes: [UInt8], into states: inout Set<Int>) {
        var open = [first]
        while let state = open.popLast() {
            guard states.insert(state).inserted else { continue }
            switch program[state] {
            case .byte, .accept: break
            case .split(let one, let other): open += [one, other]
            case .jump(let target): open.append(target)
            case .start: if position == 0 { open.append(state + 1) }
            case .end: if position == bytes.count { open.append(state + 1) }
            case .boundary:
                let isAfterWord = position > 0 && ByteSet.letters.contains(bytes[position - 1])
                let isBeforeWord = position < bytes.count && ByteSet.letters.contains(bytes[position])
                if isAfterWord != isBeforeWord { open.append(state + 1) }
            }
        }
    }
}

/// A set of bytes.
struct ByteSet: Sendable, Equatable {
    private var words: [UInt64] = [0, 0, 0, 0]

    mutating func insert(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { words[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }
    }

    mutating func formUnion(_ other: ByteSet) { for index in 0..<4 { words[index] |= other.words[index] } }

    func contains(_ byte: UInt8) -> Bool { words[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    var inverted: ByteSet {
        var result = self
        for index in 0..<4 { result.words[index] = ~words[index] }
        return result
    }

    static func of(_ bytes: some Sequence<UInt8>) -> ByteSet {
        var set = ByteSet()
        set.insert(bytes)
        return set
    }

    static let digits = ByteSet.of(UInt8(ascii: "0")...UInt8(ascii: "9"))
    static let letters = {
        var set = digits
        set.insert(UInt8(ascii: "a")...UInt8(ascii: "z"))
        set.insert(UInt8(ascii: "A")...UInt8(ascii: "Z"))
        set.insert(CollectionOfOne(UInt8(ascii: "_")))
        return set
    }()
    static let spaces = ByteSet.of(" \t\n\r\u{B}\u{C}".utf8)
}
