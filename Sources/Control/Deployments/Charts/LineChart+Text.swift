extension LineChart {
    /// The chart for a terminal: a heading, so many rows of braille dots, an axis.
    ///
    /// Lines share the dots and can't be told apart without colour, so that one chart should hold few of them. Each row
    /// is at most `width` columns wide.
    package func text(width: Int = 72, height: Int = 10) -> String {
        let (width, height) = (min(max(width, 24), 400), min(max(height, 2), 100))
        let (x, y) = scales(xMarks: max(1, width / 18), yMarks: max(1, height / 2))
        let labels = y.marks.map(ChartScale.text)
        let margin = min(12, labels.map(\.count).max() ?? 1)
        var canvas = BrailleCanvas(columns: width - margin - 1, rows: height)
        for line in drawable(limit: 8 * width) { canvas.draw(line, x, y) }
        var rows = [heading(width)]
        for (row, dots) in canvas.rowTexts.enumerated() {
            // A mark stands on the row that its value falls into.
            let label = y.marks.first { canvas.row(of: y.part($0)) == row }.map(ChartScale.text) ?? ""
            rows.append(String(repeating: " ", count: max(0, margin - label.count)) + label.prefix(margin) + "┤" + dots)
        }
        rows.append(axis(x, margin: margin, columns: width - margin - 1))
        return rows.map { row in
            var row = row
            while row.last == " " { row.removeLast() }
            return row + "\n"
        }.joined()
    }

    private func heading(_ width: Int) -> String {
        let names = series.map(\.name).filter { !$0.isEmpty }.joined(separator: ", ")
        let text =
            [title, names].filter { !$0.isEmpty }.joined(separator: ": ") + (yLabel.isEmpty ? "" : " (\(yLabel))")
        return String(text.map { $0.isNewline ? " " : $0 }.prefix(width))
    }

    /// The times below the dots, as many as have room.
    private func axis(_ scale: ChartScale, margin: Int, columns: Int) -> String {
        var text = [Character](repeating: " ", count: columns)
        var free = 0
        for mark in scale.marks {
            let label = xText(mark, scale)
            let at = min(Int(scale.part(mark) * Double(columns - 1)), max(0, columns - label.count))
            guard at >= free, at + label.count <= columns else { continue }
            text.replaceSubrange(at..<at + label.count, with: label)
            free = at + label.count + 2
        }
        return String(repeating: " ", count: margin + 1) + String(text)
    }
}

/// Dots in cells of two by four, as braille characters have them.
private struct BrailleCanvas {
    private let columns: Int
    private let rows: Int
    private var cells: [UInt8]

    init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
        cells = [UInt8](repeating: 0, count: columns * rows)
    }

    private var dotColumns: Int { columns * 2 }
    private var dotRows: Int { rows * 4 }

    /// The dot at a part of the height, from the top.
    private func dotRow(_ part: Double) -> Int { Int(((1 - part) * Double(dotRows - 1)).rounded()) }

    /// The row of cells at a part of the height.
    func row(of part: Double) -> Int { dotRow(part) / 4 }

    mutating func draw(_ series: LineChart.Series, _ x: ChartScale, _ y: ChartScale) {
        var last: (column: Int, row: Int)?
        for point in series.points {
            guard point.y.isFinite else {
                last = nil
                continue
            }
            let place = (
                column: Int((x.part(point.x) * Double(dotColumns - 1)).rounded()), row: dotRow(y.part(point.y))
            )
            if let from = last, series.isStepped {
                line(from, (place.column, from.row))
                line((place.column, from.row), place)
            } else {
                line(last ?? place, place)
            }
            last = place
        }
    }

    private mutating func line(_ from: (column: Int, row: Int), _ to: (column: Int, row: Int)) {
        let steps = max(abs(to.column - from.column), abs(to.row - from.row), 1)
        for step in 0...steps {
            let part = Double(step) / Double(steps)
            set(
                column: from.column + Int((Double(to.column - from.column) * part).rounded()),
                row: from.row + Int((Double(to.row - from.row) * part).rounded()))
        }
    }

    private mutating func set(column: Int, row: Int) {
        guard (0..<dotColumns).contains(column), (0..<dotRows).contains(row) else { return }
        // Bits of a cell, column by column: 1 2 3 7 and 4 5 6 8 (Unicode, Braille Patterns).
        let bits: [UInt8] = [0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80]
        cells[row / 4 * columns + column / 2] |= bits[column % 2 * 4 + row % 4]
    }

    var rowTexts: [String] {
        (0..<rows).map { row in
            String(
                cells[row * columns..<(row + 1) * columns].map { cell -> Character in
                    cell == 0 ? " " : Unicode.Scalar(0x2800 + UInt32(cell)).map { Character($0) } ?? " "
                })
        }
    }
}
