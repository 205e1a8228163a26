package import Deployments

/// Times as the API tells them: ISO 8601 in UTC with milliseconds, `2026-11-25T01:02:03.456Z`.
extension Timestamp {
    private static let millisecondsADay: Int64 = 86_400_000
    /// 0000-01-01 and the last millisecond of 9999: what four digits of a year can say.
    private static let sayable: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// The time as text. Times that four digits of a year can't say are told as the nearest one that can be.
    package var iso8601: String {
        let moment = min(max(milliseconds, Self.sayable.lowerBound), Self.sayable.upperBound)
        var day = moment / Self.millisecondsADay
        var rest = moment % Self.millisecondsADay
        if rest < 0 {
            rest += Self.millisecondsADay
            day -= 1
        }
        let (year, month, dayOfMonth) = Self.civilDate(ofDay: day)
        let date = "\(Self.digits(year, 4))-\(Self.digits(month, 2))-\(Self.digits(dayOfMonth, 2))"
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60)
        let seconds = "\(Self.digits(rest / 1000 % 60, 2)).\(Self.digits(rest % 1000, 3))"
        return "\(date)T\(Self.digits(hour, 2)):\(Self.digits(minute, 2)):\(seconds)Z"
    }

    /// Reads `2026-11-25T01:02:03Z`, with a fraction of any length (cut after milliseconds) and with an offset such as
    /// `+02:00` in place of Z. Nil for anything else, dates that no calendar has among them.
    package init?(iso8601 text: String) {
        var reader = DigitReader(Array(text.utf8))
        guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), reader.take("-"),
            let day = reader.digits(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), reader.take(":"), let minute = reader.digits(2), reader.take(":"),
            let second = reader.digits(2), let fraction = reader.fraction(), let offset = reader.offset(),
            reader.isAtEnd, (1...12).contains(month), (1...Self.dayCount(ofMonth: month, in: year)).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        let days = Self.day(year, month, day)
        let seconds = hour * 3600 + minute * 60 + min(second, 59) - offset * 60
        self.init(milliseconds: days * Self.millisecondsADay + seconds * 1000 + fraction)
    }

    /// The number in decimal, with zeros before it.
    private static func digits(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func isLeap(_ year: Int64) -> Bool {
        year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
    }

    private static func dayCount(ofMonth month: Int64, in year: Int64) -> Int64 {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days before a month of a year that begins in March, where the odd day of leap years comes last.
    private static func daysBefore(marchMonth: Int64) -> Int64 { (153 * marchMonth + 2) / 5 }

    /// Days from 1970-01-01 to a date of the Gregorian calendar, years 0 to 9999.
    private static func day(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        // Counted from March, so that leap days end a year; 400 is added to keep the division's dividend positive.
        let marchYear = (month > 2 ? year : year - 1) + 400
        let marchMonth = (month + 9) % 12
        let leapDays = marchYear / 4 - marchYear / 100 + marchYear / 400
        // 865,565 days lie between 0000-03-01 less 400 years and 1970-01-01.
        return marchYear * 365 + leapDays + daysBefore(marchMonth: marchMonth) + day - 1 - 865_565
    }

    /// The date of a day counted from 1970-01-01, years 0 to 9999.
    private static func civilDate(ofDay day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // An estimate that is at most one year too late, because a mean year has 365.2425 days.
        var year = (day * 10_000 + 7_305_000) / 3_652_425 + 1970
        while Self.day(year, 1, 1) > day { year -= 1 }
        while Self.day(year + 1, 1, 1) <= day { year += 1 }
        var month: Int64 = 1
        while month < 12, Self.day(year, month + 1, 1) <= day { month += 1 }
        return (year, month, day - Self.day(year, month, 1) + 1)
    }
}

/// Reads the fixed places of a time.
private struct DigitReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    private var digit: Int64? {
        guard position < bytes.count, bytes[position] &- 0x30 < 10 else { return nil }
        return Int64(bytes[position] - 0x30)
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, UInt32(bytes[position]) == character.value else { return false }
        position += 1
        return true
    }

    mutating func digits(_ count: Int) -> Int64? {
        var number: Int64 = 0
        for _ in 0..<count {
            guard let digit else { return nil }
            number = number * 10 + digit
            position += 1
        }
        return number
    }

    /// Milliseconds of a fraction; 0 where there is none, nil for a point without digits.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        guard digit != nil else { return nil }
        var (milliseconds, place) = (Int64(0), Int64(100))
        while let digit {
            milliseconds += digit * place
            place /= 10
            position += 1
        }
        return milliseconds
    }

    /// Minutes east of UTC.
    mutating func offset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let sign: Int64
        if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
        guard let hours = digits(2), take(":"), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}
