/// Gives the requests of a trace in the order in which they come.
struct ArrivalReader {
    private let trace: AutoscaleTrace
    /// The row that is being read; one past the last when all is over.
    private var row = 0
    /// Requests of the row that came already, and how many it has.
    private var taken = 0
    private var wholeCount = 0
    /// A part of a request that earlier rows left over.
    private var carried = 0.0
    private var total = 0
    /// The moment up to which clients have seen answers.
    private var clock = 0.0

    init(_ trace: AutoscaleTrace) {
        self.trace = trace
        clock = trace.rows[0].time
        openRow()
    }

    private mutating func openRow() {
        taken = 0
        guard row < trace.rows.count, trace.kind == .arrivals else { return }
        let count = trace.rows[row].value + carried
        wholeCount = Int(count.rounded(.down))
        carried = count - Double(wholeCount)
    }

    private var endOfRow: Double { row + 1 < trace.rows.count ? trace.rows[row + 1].time : trace.duration }

    /// When something may happen next, with so many requests there; infinite when nothing will.
    mutating func next(load: Int) -> Double {
        switch trace.kind {
        case .arrivals:
            while row < trace.rows.count, taken >= wholeCount {
                row += 1
                openRow()
            }
            guard row < trace.rows.count else { return .infinity }
            let start = trace.rows[row].time
            return start + (endOfRow - start) * Double(taken) / Double(wholeCount)
        case .concurrency:
            while row < trace.rows.count, clock >= endOfRow { row += 1 }
            guard row < trace.rows.count, Double(total) < AutoscaleTrace.mostRequests else { return .infinity }
            return load < Int(trace.rows[row].value) ? clock : endOfRow
        }
    }

    /// Takes what ``next(load:)`` told of. Says whether it was a request: the end of a row is none.
    mutating func take(at moment: Double) -> Bool {
        if trace.kind == .concurrency, moment > clock {
            clock = moment
            return false
        }
        taken += 1
        total += 1
        return true
    }

    /// Lets clients see that it is later: they ask again once they are answered.
    mutating func pass(to moment: Double) { clock = max(clock, moment) }
}
