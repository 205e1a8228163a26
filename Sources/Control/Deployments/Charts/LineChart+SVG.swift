extension LineChart {
    /// The chart as an SVG file.
    package func svg(width: Int = 760, height: Int = 280) -> String { Self.svg([self], width: width, height: height) }

    /// Several charts below each other as one SVG file, each so high.
    ///
    /// No scripts and no links, and every text is escaped, so that it can be shown anywhere. Colours suit light and
    /// dark pages.
    package static func svg(_ charts: [LineChart], width: Int = 760, height: Int = 280) -> String {
        let (width, height) = (min(max(width, 240), 4000), min(max(height, 140), 4000))
        var text = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height * charts.count)" \
            viewBox="0 0 \(width) \(height * charts.count)" role="img">
            <style>
            text { font: 12px system-ui, sans-serif; fill: #57606a }
            .title { font-size: 14px; font-weight: 600; fill: #24292f }
            .grid { stroke: #8c959f; stroke-opacity: 0.3 }
            .line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
            @media (prefers-color-scheme: dark) {
            text { fill: #9198a1 }
            .title { fill: #f0f6fc }
            }
            </style>

            """
        for (position, chart) in charts.enumerated() {
            text += "<g transform=\"translate(0 \(position * height))\">\n"
            text += SVGPanel(chart, width: width, height: height).text
            text += "</g>\n"
        }
        return text + "</svg>\n"
    }
}

/// One chart of an SVG file.
private struct SVGPanel {
    private let chart: LineChart
    private let series: [LineChart.Series]
    private let x: ChartScale
    private let y: ChartScale
    private let left = 56.0
    private let top = 52.0
    private let right: Double
    private let bottom: Double

    /// Told apart by who sees few colours, on white as on black.
    private static let colours = ["#2f81f7", "#e36209", "#1a9f6b", "#bf4b8a", "#9a7d0a", "#7d8590"]

    init(_ chart: LineChart, width: Int, height: Int) {
        self.chart = chart
        series = chart.drawable(limit: 2 * width)
        (right, bottom) = (Double(width) - 16, Double(height) - 30)
        (x, y) = chart.scales(xMarks: max(2, width / 110), yMarks: max(2, height / 60))
    }

    var text: String { heading + grid + lines }

    private var heading: String {
        var text = "<text class=\"title\" x=\"\(Int(left))\" y=\"20\">\(Self.escaped(chart.title))</text>\n"
        var at = left
        if !chart.yLabel.isEmpty {
            text += "<text x=\"\(Int(right))\" y=\"20\" text-anchor=\"end\">\(Self.escaped(chart.yLabel))</text>\n"
        }
        for (position, line) in series.enumerated() {
            text +=
                "<rect x=\"\(Self.number(at))\" y=\"33\" width=\"14\" height=\"4\" rx=\"2\" fill=\"\(colour(position))\"/>"
            text += "<text x=\"\(Self.number(at + 20))\" y=\"40\">\(Self.escaped(line.name))</text>\n"
            at += 40 + 6.6 * Double(line.name.count)
        }
        return text
    }

    private var grid: String {
        var text = ""
        for mark in y.marks {
            let height = Self.number(yPosition(mark))
            text += "<path class=\"grid\" d=\"M\(Int(left)) \(height)H\(Int(right))\"/>"
            text +=
                "<text x=\"\(Int(left) - 8)\" y=\"\(height)\" dy=\"4\" text-anchor=\"end\">\(ChartScale.text(mark))</text>\n"
        }
        for mark in x.marks {
            let place = Self.number(xPosition(mark))
            text += "<path class=\"grid\" d=\"M\(place) \(Int(bottom))v5\"/>"
            text += "<text x=\"\(place)\" y=\"\(Int(bottom) + 19)\" text-anchor=\"middle\">"
            text += "\(Self.escaped(chart.xText(mark, x)))</text>\n"
        }
        return text
    }

    private var lines: String {
        series.enumerated().map { position, line in
            "<path class=\"line\" stroke=\"\(colour(position))\" d=\"\(path(line))\"/>\n"
        }.joined()
    }

    private func path(_ line: LineChart.Series) -> String {
        var text = ""
        var isBroken = true
        var height = 0.0
        for point in line.points {
            guard point.y.isFinite else {
                isBroken = true
                continue
            }
            let place = Self.number(xPosition(point.x))
            let newHeight = yPosition(point.y)
            if isBroken {
                text += "M\(place) \(Self.number(newHeight))"
            } else if line.isStepped {
                // A level that stays needs no corner.
                if newHeight != height || point == line.points.last { text += "H\(place)V\(Self.number(newHeight))" }
            } else {
                text += "L\(place) \(Self.number(newHeight))"
            }
            (isBroken, height) = (false, newHeight)
        }
        return text
    }

    private func colour(_ position: Int) -> String { Self.colours[position % Self.colours.count] }
    private func xPosition(_ value: Double) -> Double { left + (right - left) * x.part(value) }
    private func yPosition(_ value: Double) -> Double { bottom - (bottom - top) * y.part(value) }

    /// A coordinate to a tenth of a pixel.
    private static func number(_ value: Double) -> String { ChartScale.text((value * 10).rounded() / 10) }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            // XML allows no others, however they are written.
            case "\u{0}"..<" ", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
