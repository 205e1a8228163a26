import ArgumentParser
import ControlClient
import Glibc
import ServingAdapters
import Terminal

/// Parses a command line, runs the command and turns whatever happens into output and an exit status.
///
/// Data goes to standard output, everything else to standard error. A reader that has gone (SIGPIPE) ends the command
/// quietly.
public enum CommandRunner {
    /// Runs one command line (without the program's name) and returns the exit status.
    public static func run(_ arguments: [String]) async -> Int32 {
        TerminalState.ignoreBrokenPipes()
        do {
            if let mistake = SpellingHint.forMistypedCommand(arguments, root: PbctlCommand.self) {
                throw CommandFailure.usage(mistake)
            }
            var command = try PbctlCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            try TextOutput.standard.flush()
            return ExitStatus.done
        } catch {
            // What was written before the failure is output all the same: the rows of a batch that were answered.
            do { try TextOutput.standard.flush() } catch { return report(error, arguments) }
            return report(error, arguments)
        }
    }

    private static func report(_ message: String) { try? TextOutput.error.writeLine(message) }

    private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
        switch error {
        case let failure as CommandFailure:
            report("pbctl: \(failure.description.onOneLine)")
            return failure.status
        case OutputError.closed:
            return 128 + SIGPIPE
        case is CancellationError:
            return ExitStatus.interrupted
        case let error as ControlClientError:
            guard error.code != .cancelled else { return ExitStatus.interrupted }
            return report(CommandFailure(error), arguments)
        case let exit as ExitCode:
            return exit.rawValue
        default:
            return reportParsing(error, arguments)
        }
    }

    /// Errors of the parser (help and version requests among them) and of the libraries below.
    private static func reportParsing(_ error: any Error, _ arguments: [String]) -> Int32 {
        if let status = ExitStatus.of(error) {
            let message = (error as? AdapterError)?.message ?? String(describing: error)
            report("pbctl: \(message.onOneLine)")
            return status
        }
        let status = PbctlCommand.exitCode(for: error).rawValue
        if status == ExitStatus.done {
            let text = PbctlCommand.fullMessage(for: error)
            do {
                try TextOutput.standard.write(text + (text.hasSuffix("\n") ? "" : "\n"))
                try TextOutput.standard.flush()
            } catch {
                return report(error, arguments)
            }
            return status
        }
        if status == ExitStatus.usage {
            // The parser's message, on one line, without the usage text that would push it off the screen.
            let message = PbctlCommand.message(for: error).onOneLine
            let hint =
                message.hasPrefix("Missing value for")
                ? "a value that begins with - is written --option=-1"
                : "see '\(SpellingHint.commandPath(arguments, root: PbctlCommand.self)) --help'"
            report("pbctl: \(message) (\(hint))")
            return status
        }
        report("pbctl: \(String(describing: error).onOneLine)")
        return ExitStatus.failed
    }
}

extension String {
    /// The text with line ends as spaces.
    var onOneLine: String {
        split(whereSeparator: \.isNewline).map { $0.trimmingPrefix { $0 == " " } }.joined(separator: " ")
    }
}
