import Glibc

/// The local date and time that `strftime_now` prints in templates.
public struct ChatTemplateDate: Sendable, Equatable {
    /// Year, as 2025.
    public var year: Int
    /// Month from 1.
    public var month: Int
    /// Day of the month from 1.
    public var day: Int
    /// Hour from 0.
    public var hour: Int
    /// Minute from 0.
    public var minute: Int
    /// Second from 0.
    public var second: Int

    /// A date, at midnight where no time is given.
    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// Now, by the system's clock and time zone.
    public static func current() -> ChatTemplateDate {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return ChatTemplateDate(
            year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
            hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// Days since 1970-01-01 in the Gregorian calendar.
    private var dayNumber: Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.quotientAndRemainder(dividingBy: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era.quotient * 146_097 + era.remainder * 365 + era.remainder / 4 - era.remainder / 100 + dayOfYear
            - 719_468
    }

    /// From 0 for Sunday.
    private var weekday: Int { ((dayNumber + 4) % 7 + 7) % 7 }
    /// From 1.
    private var dayOfYear: Int { dayNumber - ChatTemplateDate(year: year, month: 1, day: 1).dayNumber + 1 }

    /// `strftime` in the C locale, with glibc's flags `-`, `_` and `0`.
    func formatted(_ format: String) -> String {
        var result = ""
        var rest = Substring(format)
        while let character = rest.popFirst() {
            guard character == "%", var conversion = rest.popFirst() else {
                result.append(character)
                continue
            }
            var flag: Character?
            if "-_0".contains(conversion), let next = rest.popFirst() { (flag, conversion) = (conversion, next) }
            if let (value, width, pad) = number(conversion) {
                let digits = String(value)
                let fill = flag == "-" ? "" : flag == "_" ? " " : flag == "0" ? "0" : pad
                result += String(repeating: fill, count: max(width - digits.count, 0)) + digits
            } else {
                result += text(conversion) ?? "%" + (flag.map { String($0) } ?? "") + String(conversion)
            }
        }
        return result
    }

    private func number(_ conversion: Character) -> (value: Int, width: Int, pad: String)? {
        switch conversion {
        case "d": (day, 2, "0")
        case "e": (day, 2, " ")
        case "m": (month, 2, "0")
        case "y": (year % 100, 2, "0")
        case "Y", "G": (year, 4, "")
        case "C": (year / 100, 2, "0")
        case "H": (hour, 2, "0")
        case "k": (hour, 2, " ")
        case "I": ((hour + 11) % 12 + 1, 2, "0")
        case "l": ((hour + 11) % 12 + 1, 2, " ")
        case "M": (minute, 2, "0")
        case "S": (second, 2, "0")
        case "j": (dayOfYear, 3, "0")
        case "w": (weekday, 1, "0")
        case "u": (weekday == 0 ? 7 : weekday, 1, "0")
        case "U": ((dayOfYear + 6 - weekday) / 7, 2, "0")
        case "W": ((dayOfYear + 6 - (weekday + 6) % 7) / 7, 2, "0")
        case "f": (0, 6, "0")
        default: nil
        }
    }

    private func text(_ conversion: Character) -> String? {
        let monthName = Self.months[min(max(month - 1, 0), 11)]
        return switch conversion {
        case "A": Self.days[weekday]
        case "a": String(Self.days[weekday].prefix(3))
        case "B": monthName
        case "b", "h": String(monthName.prefix(3))
        case "p": hour < 12 ? "AM" : "PM"
        case "P": hour < 12 ? "am" : "pm"
        case "D", "x": formatted("%m/%d/%y")
        case "F": formatted("%Y-%m-%d")
        case "T", "X": formatted("%H:%M:%S")
        case "R": formatted("%H:%M")
        case "r": formatted("%I:%M:%S %p")
        case "c": formatted("%a %b %e %H:%M:%S %Y")
        case "n": "\n"
        case "t": "\t"
        case "%": "%"
        case "z", "Z": ""
        default: nil
        }
    }
}
