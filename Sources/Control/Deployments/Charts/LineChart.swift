/// Lines over an axis, to be drawn as a picture or in a terminal.
package struct LineChart: Sendable, Hashable {
    package struct Point: Sendable, Hashable {
        package var x: Double
        package var y: Double

        package init(_ x: Double, _ y: Double) {
            self.x = x
            self.y = y
        }
    }

    package struct Series: Sendable, Hashable {
        package var name: String
        /// At rising x; a point whose y is no number breaks the line.
        package var points: [Point]
        /// Whether a value holds until the next one, as a count does.
        package var isStepped: Bool

        package init(name: String, points: [Point], isStepped: Bool = false) {
            self.name = name
            self.points = points
            self.isStepped = isStepped
        }
    }

    package var title: String
    package var yLabel: String
    package var series: [Series]
    /// Whether x is in seconds, to be written as times.
    package var hasTimeAxis: Bool

    package init(title: String, yLabel: String = "", series: [Series], hasTimeAxis: Bool = true) {
        self.title = title
        self.yLabel = yLabel
        self.series = series
        self.hasTimeAxis = hasTimeAxis
    }

    /// The series with the points that can be drawn: finite x, in order, and no more than `limit`, of which peaks stay.
    func drawable(limit: Int) -> [Series] {
        series.map { series in
            var series = series
            series.points = Self.thinned(series.points.filter { $0.x.isFinite }.sorted { $0.x < $1.x }, limit: limit)
            return series
        }
    }

    /// Keeps the least and the greatest of each part of the points.
    private static func thinned(_ points: [Point], limit: Int) -> [Point] {
        guard points.count > max(limit, 4) else { return points }
        let partCount = max(1, limit / 2)
        return (0..<partCount).flatMap { part -> [Point] in
            let range = points.count * part / partCount..<points.count * (part + 1) / partCount
            let slice = points[range].filter { $0.y.isFinite }
            guard let low = slice.min(by: { $0.y < $1.y }), let high = slice.max(by: { $0.y < $1.y }) else {
                return points[range].first.map { [$0] } ?? []
            }
            if low == high { return [low] }
            return low.x < high.x ? [low, high] : [high, low]
        }
    }

    /// The axes that all points fit on; y begins at zero unless something is below.
    func scales(xMarks: Int, yMarks: Int) -> (x: ChartScale, y: ChartScale) {
        let points = series.flatMap(\.points).filter { $0.x.isFinite }
        let ys = points.map(\.y).filter(\.isFinite)
        let x = ChartScale(
            lower: points.map(\.x).min() ?? 0, upper: points.map(\.x).max() ?? 1, markCount: xMarks,
            isTime: hasTimeAxis, extends: false)
        return (x, ChartScale(lower: min(0, ys.min() ?? 0), upper: ys.max() ?? 1, markCount: yMarks))
    }

    func xText(_ value: Double, _ scale: ChartScale) -> String {
        hasTimeAxis ? scale.timeText(value) : ChartScale.text(value)
    }
}
