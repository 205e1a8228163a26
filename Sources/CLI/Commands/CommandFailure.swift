import ArgumentParser

/// How a command ended, as shells and scripts see it. Documented in the manual; never renumbered.
enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 64
    /// Something that was given can't be: a spec, a model's file.
    static let dataError: Int32 = 65
    /// A file that was named is not there.
    static let noInput: Int32 = 66
    static let unreachable: Int32 = 69
    static let tryAgain: Int32 = 75
    static let interrupted: Int32 = 130
}

/// A command's end in failure: one line for the user and a status for the shell.
struct CommandFailure: Error, CustomStringConvertible {
    /// What went wrong, with which thing.
    let message: String
    /// What to do about it, or nil where the message says it.
    let hint: String?
    /// Exit status.
    let status: Int32

    init(_ message: String, hint: String? = nil, status: Int32 = ExitStatus.failed) {
        self.message = message
        self.hint = hint
        self.status = status
    }

    /// A failure by something the user typed.
    static func usage(_ message: String, hint: String? = nil) -> CommandFailure {
        CommandFailure(message, hint: hint, status: ExitStatus.usage)
    }

    var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
