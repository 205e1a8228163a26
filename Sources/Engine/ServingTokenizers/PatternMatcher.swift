/// Runs a ``Pattern`` over one text; keeps its buffers between searches of that text.
struct PatternMatcher {
    private let pattern: Pattern
    private let text: UTF8Text
    private var stack: [Frame] = []
    private var stepCount = 0
    private let stepLimit: Int
    /// One bit for each (offset, instruction) known to fail; empty until the step limit is passed.
    private var failed: [UInt64] = []
    /// The same for states of look-aheads known to succeed.
    private var succeeded: [UInt64] = []
    /// States on the way of the running look-ahead, as bits of `succeeded`.
    private var path: [Int] = []

    /// A state to go back to: an instruction with one or, after a run, several offsets.
    private struct Frame {
        var instruction: Int
        var offset: Int
        /// The run may give back scalars down to here.
        var leastOffset: Int
        /// Length of `path` when the frame was made.
        var pathCount: Int
    }

    private static let memoryLimit = 1 << 32

    init(_ pattern: Pattern, _ text: UTF8Text) {
        self.pattern = pattern
        self.text = text
        stepLimit = 10_000 + 32 * text.count
    }

    /// The first match that starts at or after an offset.
    mutating func firstMatch(from start: Int) -> (start: Int, end: Int)? {
        var start = start
        while true {
            if let end = run(0, start) { return (start, end) }
            guard start < text.count else { return nil }
            start += text.scalar(at: start).length
        }
    }

    /// The end of a match of the sub-program at `instruction` that starts at `start`. Of a look-ahead only whether
    /// there is a match counts, so that states that are known to succeed end it.
    private mutating func run(_ instruction: Int, _ start: Int, isLookahead: Bool = false) -> Int? {
        let base = stack.count
        let pathBase = path.count
        defer {
            stack.removeLast(stack.count - base)
            path.removeLast(path.count - pathBase)
        }
        var state: (instruction: Int, offset: Int)? = (instruction, start)
        while let (instruction, offset) = state {
            stepCount += 1
            var isDone = if case .accept = pattern.program[instruction] { true } else { false }
            if isLookahead, stepCount > stepLimit, enter(instruction, offset) { isDone = true }
            if isDone {
                if isLookahead { for bit in path[pathBase...] { succeeded[bit / 64] |= 1 << UInt64(bit % 64) } }
                forget(from: start, to: offset)
                return offset
            }
            state = step(instruction, offset) ?? backtrack(to: base)
        }
        return nil
    }

    /// Puts a state on the path; true where it is known to succeed.
    private mutating func enter(_ instruction: Int, _ offset: Int) -> Bool {
        let size = (text.count + 1) * pattern.program.count
        if succeeded.isEmpty {
            guard size < Self.memoryLimit else { return false }
            succeeded = Array(repeating: 0, count: size / 64 + 1)
        }
        let bit = offset * pattern.program.count + instruction
        if succeeded[bit / 64] >> UInt64(bit % 64) & 1 != 0 { return true }
        path.append(bit)
        return false
    }

    /// The state after one instruction, or nil where it fails.
    private mutating func step(_ instruction: Int, _ offset: Int) -> (Int, Int)? {
        switch pattern.program[instruction] {
        case .scalar(let index):
            guard offset < text.count else { return nil }
            let (scalar, length) = text.scalar(at: offset)
            return pattern.classes[index].contains(scalar) ? (instruction + 1, offset + length) : nil
        case .run(let index, let least, let most, let isPossessive):
            return runOfClass(index, least, most, isPossessive, instruction, offset)
        case .split(let first, let second):
            push(Frame(instruction: second, offset: offset, leastOffset: offset, pathCount: path.count))
            return (first, offset)
        case .jump(let target): return (target, offset)
        case .assertion(let assertion): return holds(assertion, offset) ? (instruction + 1, offset) : nil
        case .lookahead(let end, let isNegated):
            return (run(instruction + 1, offset, isLookahead: true) != nil) != isNegated ? (end, offset) : nil
        case .lookbehind(let end, let scalarCount, let isNegated):
            var start = offset
            var count = 0
            while count < scalarCount, start > 0 {
                start -= text.scalar(before: start).length
                count += 1
            }
            let isMatch = count == scalarCount && run(instruction + 1, start) != nil
            return isMatch != isNegated ? (end, offset) : nil
        case .atomic(let end): return run(instruction + 1, offset).map { (end, $0) }
        case .accept: return nil
        }
    }

    private mutating func runOfClass(
        _ index: Int, _ least: Int, _ most: Int, _ isPossessive: Bool, _ instruction: Int, _ start: Int
    ) -> (Int, Int)? {
        var offset = start
        var leastOffset = start
        var count = 0
        while offset < text.count, count != most {
            let (scalar, length) = text.scalar(at: offset)
            guard pattern.classes[index].contains(scalar) else { break }
            offset += length
            count += 1
            if count == least { leastOffset = offset }
        }
        stepCount += count
        guard count >= least else { return nil }
        if !isPossessive, offset > leastOffset {
            push(
                Frame(
                    instruction: instruction + 1, offset: offset, leastOffset: leastOffset, pathCount: path.count))
            // The top of the frame is the state that is tried now.
            stack[stack.count - 1].offset -= text.scalar(before: offset).length
        }
        return (instruction + 1, offset)
    }

    private mutating func push(_ frame: Frame) { stack.append(frame) }

    private mutating func backtrack(to base: Int) -> (Int, Int)? {
        while stack.count > base {
            let frame = stack[stack.count - 1]
            path.removeLast(path.count - frame.pathCount)
            if frame.offset > frame.leastOffset {
                stack[stack.count - 1].offset -= text.scalar(before: frame.offset).length
            } else {
                stack.removeLast()
            }
            stepCount += 1
            if stepCount > stepLimit, isKnownToFail(frame.instruction, frame.offset) { continue }
            return (frame.instruction, frame.offset)
        }
        return nil
    }

    /// Whether a state has been tried before; from now on it has.
    private mutating func isKnownToFail(_ instruction: Int, _ offset: Int) -> Bool {
        let size = (text.count + 1) * pattern.program.count
        if failed.isEmpty {
            guard size < Self.memoryLimit else { return false }
            failed = Array(repeating: 0, count: size / 64 + 1)
        }
        let bit = offset * pattern.program.count + instruction
        let isKnown = failed[bit / 64] >> UInt64(bit % 64) & 1 != 0
        failed[bit / 64] |= 1 << UInt64(bit % 64)
        return isKnown
    }

    /// After a success the states on its way did not fail; their offsets lie within the match.
    private mutating func forget(from start: Int, to end: Int) {
        guard !failed.isEmpty else { return }
        let width = pattern.program.count
        for bit in start * width..<(end + 1) * width { failed[bit / 64] &= ~(1 << UInt64(bit % 64)) }
    }

    private func isWord(_ scalar: UInt32) -> Bool { ScalarSet.word.has(scalar) }

    private func holds(_ assertion: PatternNode.Assertion, _ offset: Int) -> Bool {
        switch assertion {
        case .textStart: return offset == 0
        case .textEnd: return offset == text.count
        case .lineStart: return offset == 0 || text[offset - 1] == 10
        case .lineEnd: return offset == text.count || text[offset] == 10
        case .beforeFinalNewline:
            return offset == text.count || offset == text.count - 1 && text[offset] == 10
        case .wordBoundary, .notWordBoundary:
            let before = offset > 0 && isWord(text.scalar(before: offset).value)
            let after = offset < text.count && isWord(text.scalar(at: offset).value)
            return (before != after) == (assertion == .wordBoundary)
        }
    }
}
