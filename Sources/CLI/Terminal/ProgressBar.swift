import Glibc
import Synchronization

/// How far a long piece of work is, on standard error: a bar on a terminal, elsewhere a line every ten seconds.
///
/// Threads may share one; it draws at most ten times a second.
public final class ProgressBar: Sendable {
    private struct State {
        var title: String
        var completed: Int64 = 0
        var total: Int64?
        var rate = TransferRate()
        var lastDrawn: ContinuousClock.Instant?
        var isShown = false
    }

    private let state: Mutex<State>
    private let output: TextOutput
    private let isBar: Bool
    private let isColored: Bool
    private let width: @Sendable () -> Int
    private let now: @Sendable () -> ContinuousClock.Instant

    /// A bar that shows nothing until its first update.
    public init(
        title: String, output: TextOutput = .error, isBar: Bool? = nil, isColored: Bool? = nil,
        width: (@Sendable () -> Int)? = nil,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        state = Mutex(State(title: title))
        self.output = output
        self.isBar = isBar ?? (output.isTerminal && TerminalState.environment("TERM") != "dumb")
        self.isColored = isColored ?? ColorChoice.auto.isEnabled(STDERR_FILENO)
        self.width = width ?? { TerminalState.width(STDERR_FILENO) }
        self.now = now
    }

    /// Shows that `completed` bytes of `total` are done.
    public func update(completed: Int64, total: Int64?, title: String? = nil) {
        let time = now()
        state.withLock { state in
            if let title { state.title = title }
            state.rate.add(completed, at: time)
            (state.completed, state.total) = (completed, total)
            let pause: Duration = isBar ? .milliseconds(100) : .seconds(10)
            if let last = state.lastDrawn, time - last < pause { return }
            // Off a terminal the first line comes after ten seconds: what is quick needs none.
            if !isBar, state.lastDrawn == nil {
                state.lastDrawn = time
                return
            }
            state.lastDrawn = time
            draw(&state, time)
        }
    }

    /// Writes a line of its own, above the bar.
    public func note(_ text: String) {
        state.withLock { state in
            erase(&state)
            try? output.writeLine(text)
        }
    }

    /// Takes the bar away; a last line, if given, stays.
    public func finish(_ text: String? = nil) {
        state.withLock { state in
            erase(&state)
            if let text { try? output.writeLine(text) }
        }
    }

    private func erase(_ state: inout State) {
        if state.isShown { try? output.write("\r\u{1B}[K") }
        state.isShown = false
    }

    private func draw(_ state: inout State, _ time: ContinuousClock.Instant) {
        let line = ProgressLine(
            title: state.title, completed: state.completed, total: state.total,
            bytesPerSecond: state.rate.bytesPerSecond(at: time))
        if isBar {
            let text = line.text(width: max(width() - 1, 10), colored: isColored)
            try? output.write("\r\(text)\u{1B}[K")
            state.isShown = true
        } else {
            try? output.writeLine(line.plainText)
        }
    }
}

/// Bytes a second over the last few seconds.
struct TransferRate {
    private var samples: [(time: ContinuousClock.Instant, bytes: Int64)] = []
    private static let window: Duration = .seconds(8)

    mutating func add(_ bytes: Int64, at time: ContinuousClock.Instant) {
        // What was there before the first sample was not transferred now.
        if let last = samples.last, time - last.time < .milliseconds(100) { return }
        samples.append((time, bytes))
        while samples.count > 2, time - samples[0].time > Self.window { samples.removeFirst() }
    }

    func bytesPerSecond(at time: ContinuousClock.Instant) -> Double? {
        guard let first = samples.first, let last = samples.last, last.time > first.time else { return nil }
        return Double(last.bytes - first.bytes) / ((max(time, last.time) - first.time) / .seconds(1))
    }
}

/// One state of a progress bar as text.
struct ProgressLine: Equatable {
    let title: String
    let completed: Int64
    let total: Int64?
    let bytesPerSecond: Double?

    private var fraction: Double? {
        total.flatMap { $0 > 0 ? min(max(Double(completed) / Double($0), 0), 1) : nil }
    }

    private var facts: String {
        var parts: [String] = []
        if let fraction { parts.append("\(Int(fraction * 100)) %") }
        parts.append(
            total.map { "\(Self.bytes(Double(completed)))/\(Self.bytes(Double($0)))" } ?? Self.bytes(Double(completed)))
        if let rate = bytesPerSecond {
            parts.append("\(Self.bytes(rate))/s")
            if let total, rate >= 1, total > completed {
                parts.append(Self.duration(Double(total - completed) / rate))
            }
        }
        return parts.joined(separator: "  ")
    }

    /// For logs: no bar, no codes.
    var plainText: String { "\(title): \(facts)" }

    /// At most `width` columns. A narrow terminal loses the bar first, then the end of the title.
    func text(width: Int, colored: Bool) -> String {
        let facts = self.facts
        let room = width - facts.count - 2
        guard room > 0 else { return String(facts.prefix(width)) }
        let barWidth = fraction == nil ? 0 : min(30, room - min(title.count, 24) - 2)
        guard let fraction, barWidth >= 8 else { return String(title.prefix(room)) + "  " + facts }
        let filled = Int((Double(barWidth) * fraction).rounded(.down))
        let bar =
            TextStyle.green(String(repeating: "━", count: filled), colored: colored)
            + TextStyle.dim(String(repeating: colored ? "━" : "·", count: barWidth - filled), colored: colored)
        return String(title.prefix(room - barWidth - 2)) + "  " + bar + "  " + facts
    }

    private static func bytes(_ count: Double) -> String {
        var value = count
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 999.95 { return "\(unit == "B" ? "\(Int(value))" : tenths(value)) \(unit)" }
            value /= 1000
        }
        return "\(tenths(value)) TB"
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((min(value, 1e12) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    static func duration(_ seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 359_999).rounded())
        let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
    }
}
