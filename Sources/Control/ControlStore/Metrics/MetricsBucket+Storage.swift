extension MetricsBucket {
    private static let format: UInt8 = 1

    /// The bucket as the store keeps it: whole numbers in base 128, lowest digits first, the high bit set on all but
    /// the last byte of each. Format, five outcomes, prompt and generated tokens; of each histogram its sum, the number
    /// of bins, and of each bin its distance from the one before and its count; of each gauge count, sum and highest.
    var stored: [UInt8] {
        var writer = NumberWriter()
        writer.bytes.append(Self.format)
        for count in requestCounts { writer.write(count) }
        writer.write(promptTokenCount)
        writer.write(generatedTokenCount)
        for path in Self.histograms {
            let histogram = self[keyPath: path]
            writer.write(histogram.sumMicroseconds)
            writer.write(histogram.bins.count)
            var previous = 0
            for bin in histogram.bins {
                writer.write(Int(bin.index) - previous)
                writer.write(bin.count)
                previous = Int(bin.index)
            }
        }
        for path in Self.gauges {
            let gauge = self[keyPath: path]
            writer.write(gauge.count)
            writer.write(gauge.sum)
            writer.write(gauge.highest)
        }
        return writer.bytes
    }

    /// Reads what ``stored`` gave; nil where it isn't that.
    init?(stored bytes: [UInt8]) {
        guard bytes.first == Self.format else { return nil }
        var reader = NumberReader(bytes: bytes[1...])
        self.init()
        for index in requestCounts.indices {
            guard let count = reader.read() else { return nil }
            requestCounts[index] = count
        }
        guard let prompt = reader.read(), let generated = reader.read() else { return nil }
        (promptTokenCount, generatedTokenCount) = (prompt, generated)
        for path in Self.histograms {
            guard let histogram = Self.histogram(&reader) else { return nil }
            self[keyPath: path] = histogram
        }
        for path in Self.gauges {
            guard let count = reader.read(), let sum = reader.read(), let highest = reader.read() else { return nil }
            self[keyPath: path] = Gauge(count: count, sum: sum, highest: highest)
        }
        guard reader.isAtEnd else { return nil }
    }

    private static func histogram(_ reader: inout NumberReader) -> DurationHistogram? {
        guard let sum = reader.read(), let count = reader.read(), count <= 256 else { return nil }
        var bins: [DurationHistogram.Bin] = []
        var index = 0
        for _ in 0..<count {
            guard let step = reader.read(), let number = reader.read(), step <= 255 - index else { return nil }
            index += step
            bins.append(DurationHistogram.Bin(index: UInt8(index), count: number))
        }
        return DurationHistogram(bins: bins, sumMicroseconds: sum)
    }
}

/// Writes whole numbers from 0 in as few bytes as each takes.
private struct NumberWriter {
    var bytes: [UInt8] = []

    mutating func write(_ number: Int) {
        var rest = UInt64(max(0, number))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

private struct NumberReader {
    var bytes: ArraySlice<UInt8>

    var isAtEnd: Bool { bytes.isEmpty }

    /// Nil at the end and for a number that doesn't fit.
    mutating func read() -> Int? {
        var number: UInt64 = 0
        for shift in stride(from: 0, to: 63, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            number |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return Int(number) }
        }
        return nil
    }
}
