/// How tokens become text: the steps of tokenizer.json's `decoder`, or SentencePiece's rules.
///
/// Each step maps a list of pieces to a list of pieces; the text is what the last list joins to.
struct Decoder: Sendable {
    enum Step: Sendable {
        /// Entries stand for bytes; done by the vocabulary already, so pieces arrive as these.
        case byteLevel
        /// The same for a vocabulary that is not byte-level by itself.
        case unmapBytes
        case metaspace(replacement: [UInt8], dropsFirst: Bool)
        /// Runs of `<0x..>` become the text of their bytes, or one U+FFFD a byte where they are no UTF-8.
        case byteFallback
        case fuse
        case replace(TextReplacement)
        /// Drops up to `left` and `right` of a scalar at the ends of each piece.
        case strip([UInt8], left: Int, right: Int)
        /// A suffix that ends words becomes a space, and nothing in the last piece.
        case wordSuffix([UInt8])
        /// A space before each piece but the first and those with the prefix, which goes.
        case wordPiece(prefix: [UInt8], cleansUp: Bool)
        /// A space between pieces: what the reference does without a decoder.
        case joinBySpaces
    }

    var steps: [Step]

    /// The byte that an entry `<0x..>` stands for.
    static func byte(of piece: some BidirectionalCollection<UInt8>) -> UInt8? {
        guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece.last == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(decoding: piece.dropFirst(3).prefix(2), as: UTF8.self), radix: 16)
    }
}

/// A ``Decoder`` at work on a stream of pieces: gives out text as soon as no later piece can change it.
struct DecoderState: Sendable {
    private enum State: Sendable {
        case none
        case pieceCount(Int)
        /// Held back until more is known.
        case held([UInt8])
        case strip(leftDone: Int, isAtStart: Bool, held: [UInt8])
    }

    private let steps: [Decoder.Step]
    private var states: [State]
    /// Whether the pieces that arrive at a step are parts of one.
    private let isFused: [Bool]

    init(_ decoder: Decoder) {
        steps = decoder.steps
        states = steps.map { _ in .none }
        var fused = false
        var isFused: [Bool] = []
        for step in steps {
            isFused.append(fused)
            switch step {
            case .fuse, .byteLevel, .unmapBytes: fused = true
            default: break
            }
        }
        self.isFused = isFused
    }

    /// Takes one piece; appends what is certain.
    mutating func append(_ piece: [UInt8], to output: inout [UInt8]) { push(piece, 0, &output) }

    /// Takes the end of the pieces; appends all that was held back.
    mutating func finish(to output: inout [UInt8]) {
        for step in steps.indices { flush(step, &output) }
    }

    private mutating func push(_ piece: [UInt8], _ index: Int, _ output: inout [UInt8]) {
        guard index < steps.count else {
            output.append(contentsOf: piece)
            return
        }
        switch steps[index] {
        case .byteLevel, .fuse: push(piece, index + 1, &output)
        case .unmapBytes:
            var bytes: [UInt8] = []
            let isMapped = piece.withUnsafeBufferPointer { ByteAlphabet.append(bytesOf: $0, to: &bytes) }
            push(isMapped ? bytes : piece, index + 1, &output)
        case .metaspace(let replacement, let dropsFirst):
            let isFirst = if case .none = states[index] { true } else { false }
            states[index] = .pieceCount(1)
            let content: [UInt8] = isFirst && dropsFirst ? [] : [0x20]
            let map = TextReplacement(target: .literal(replacement), content: content)
            push(map.apply(to: piece), index + 1, &output)
        case .byteFallback:
            if let byte = Decoder.byte(of: piece) {
                appendHeld([byte], index)
            } else {
                flush(index, &output)
                push(piece, index + 1, &output)
            }
        case .replace(let replacement):
            if isFused[index] {
                appendHeld(piece, index)
            } else {
                push(replacement.apply(to: piece), index + 1, &output)
            }
        case .strip(let scalar, let left, let right):
            if isFused[index] {
                stripFused(piece, scalar, left, right, index, &output)
            } else {
                push(Self.strip(piece, scalar, left, right), index + 1, &output)
            }
        case .wordSuffix(let suffix):
            // One piece late, because the last is treated otherwise.
            let previous: [UInt8]? = if case .held(let held) = states[index] { held } else { nil }
            states[index] = .held(piece)
            if let previous {
                let map = TextReplacement(target: .literal(suffix), content: [0x20])
                push(map.apply(to: previous), index + 1, &output)
            }
        case .wordPiece(let prefix, let cleansUp):
            let isFirst = if case .none = states[index] { true } else { false }
            states[index] = .pieceCount(1)
            push(Self.wordPiece(piece, isFirst, prefix, cleansUp), index + 1, &output)
        case .joinBySpaces:
            let isFirst = if case .none = states[index] { true } else { false }
            states[index] = .pieceCount(1)
            push(isFirst ? piece : [0x20] + piece, index + 1, &output)
        }
    }

    /// Holds bytes back, in place: a copy a piece would take quadratic time.
    private mutating func appendHeld(_ bytes: [UInt8], _ index: Int) {
        guard case .held(var held) = states[index] else {
            states[index] = .held(bytes)
            return
        }
        states[index] = .none
        held.append(contentsOf: bytes)
        states[index] = .held(held)
    }

    private mutating func flush(_ index: Int, _ output: inout [UInt8]) {
        let state = states[index]
        switch (steps[index], state) {
        case (.byteFallback, .held(let run)):
            states[index] = .none
            if UTF8Repair.isWellFormed(run) {
                push(run, index + 1, &output)
            } else {
                for _ in run { push([0xEF, 0xBF, 0xBD], index + 1, &output) }
            }
        case (.replace(let replacement), .held(let held)):
            states[index] = .none
            push(replacement.apply(to: held), index + 1, &output)
        case (.wordSuffix(let suffix), .held(let held)):
            states[index] = .none
            push(TextReplacement(target: .literal(suffix), content: []).apply(to: held), index + 1, &output)
        case (.strip(let scalar, _, let right), .strip(_, _, let held)):
            states[index] = .none
            push(Self.strip(held, scalar, 0, right), index + 1, &output)
        default: break
        }
    }

    private static func strip(_ piece: [UInt8], _ scalar: [UInt8], _ left: Int, _ right: Int) -> [UInt8] {
        var slice = piece[...]
        for _ in 0..<left {
            guard slice.starts(with: scalar) else { break }
            slice = slice.dropFirst(scalar.count)
        }
        for _ in 0..<right {
            guard slice.suffix(scalar.count).elementsEqual(scalar) else { break }
            slice = slice.dropLast(scalar.count)
        }
        return Array(slice)
    }

    /// The same on a piece that arrives in parts: the start is stripped at once, what may be the end is held back.
    private mutating func stripFused(
        _ part: [UInt8], _ scalar: [UInt8], _ left: Int, _ right: Int, _ index: Int, _ output: inout [UInt8]
    ) {
        var (leftDone, isAtStart, held) = (0, true, [UInt8]())
        if case .strip(let done, let start, let rest) = states[index] {
            (leftDone, isAtStart, held) = (done, start, rest)
        }
        var text = (held + part)[...]
        while isAtStart, leftDone < left, text.starts(with: scalar) {
            text = text.dropFirst(scalar.count)
            leftDone += 1
        }
        if !text.isEmpty || leftDone == left { isAtStart = false }
        var heldCount = 0
        var rest = text
        for _ in 0..<right {
            guard rest.suffix(scalar.count).elementsEqual(scalar) else { break }
            rest = rest.dropLast(scalar.count)
            heldCount += scalar.count
        }
        states[index] = .strip(leftDone: leftDone, isAtStart: isAtStart, held: Array(text.suffix(heldCount)))
        push(Array(text.dropLast(heldCount)), index + 1, &output)
    }

    private static func wordPiece(_ piece: [UInt8], _ isFirst: Bool, _ prefix: [UInt8], _ cleansUp: Bool) -> [UInt8] {
        var text = piece
        if !isFirst { text = piece.starts(with: prefix) ? Array(piece.dropFirst(prefix.count)) : [0x20] + piece }
        guard cleansUp else { return text }
        let pairs = [
            (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
            (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
        ]
        for (target, content) in pairs {
            text = TextReplacement(target: .literal(Array(target.utf8)), content: Array(content.utf8)).apply(to: text)
        }
        return text
    }
}
