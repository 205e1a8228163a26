/// Rows of text in aligned columns, for people.
struct TextTable {
    private var rows: [[String]]

    /// A table under a header; without one where it is empty.
    init(_ header: [String]) { rows = header.isEmpty ? [] : [header] }

    mutating func add(_ row: [String]) { rows.append(row) }

    /// The table with a newline after each row; the last column is not padded.
    var text: String {
        let columnCount = rows.map(\.count).max() ?? 0
        let widths = (0..<columnCount).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ") + "\n"
        }.joined()
    }
}
