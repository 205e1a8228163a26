import Glibc

/// A person's own editor, for text that is too long for a line.
public enum ExternalEditor {
    /// Why there is no text.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        /// A file could not be made, or read back.
        case file(path: String, number: Int32)
        /// The editor could not be started, or left with a status other than 0.
        case editor(command: String, status: Int32)

        /// What happened.
        public var description: String {
            switch self {
            case .file(let path, let number): "\(path): \(String(cString: strerror(number)))"
            case .editor(let command, let status): "editor \"\(command)\" ended with status \(status) (set EDITOR)"
            }
        }
    }

    /// Opens `$VISUAL`, `$EDITOR` or vi on a file with the text and gives what it holds afterwards. Blocks.
    public static func edit(_ text: String) throws(Failure) -> String {
        let folder = TerminalState.environment("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        var template = Array("\(folder)/pbctl-XXXXXX.md".utf8CString)
        let file = mkstemps(&template, 3)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard file >= 0 else { throw .file(path: path, number: errno) }
        defer { unlink(path) }
        do throws(OutputError) { try TextOutput(file, gathers: false).write(text) } catch {
            close(file)
            throw .file(path: path, number: errno)
        }
        close(file)
        let command =
            ["VISUAL", "EDITOR"].compactMap(TerminalState.environment).first { !$0.isEmpty } ?? "vi"
        let status = run(command, path)
        guard status == 0 else { throw .editor(command: command, status: status) }
        let input = open(path, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw .file(path: path, number: errno) }
        defer { close(input) }
        var reader = LineReader(input)
        return reader.rest()
    }

    /// Through the shell, because EDITOR may hold arguments. Ctrl-C and Ctrl-\ are the editor's meanwhile.
    private static func run(_ command: String, _ path: String) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGPIPE, SIGINT, SIGQUIT] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let oldInterrupt = signal(SIGINT, SIG_IGN)
        let oldQuit = signal(SIGQUIT, SIG_IGN)
        defer {
            signal(SIGINT, oldInterrupt)
            signal(SIGQUIT, oldQuit)
        }
        let words = ["/bin/sh", "-c", "\(command) \"$1\"", "sh", path]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var child = pid_t()
        guard posix_spawn(&child, "/bin/sh", nil, &attributes, &arguments, environ) == 0 else { return 127 }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 { if errno != EINTR { return 127 } }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    }
}
