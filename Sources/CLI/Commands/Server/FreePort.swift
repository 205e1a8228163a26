import Glibc

/// Finds a port to listen on where the user named none.
enum FreePort {
    static let usual = 7860

    /// The first of the candidates that nobody listens on; 0, which is any, where all are taken.
    static func choose(_ candidates: [Int], host: String) -> Int {
        candidates.first { isFree($0, host: host) } ?? 0
    }

    /// Whether a listener could be had. Another process may take it before we do, which is then told as an error.
    private static func isFree(_ port: Int, host: String) -> Bool {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let list else { return false }
        defer { freeaddrinfo(list) }
        let entry = list.pointee
        let file = socket(entry.ai_family, entry.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), entry.ai_protocol)
        guard file >= 0 else { return false }
        defer { close(file) }
        var isOn: Int32 = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<Int32>.size))
        return bind(file, entry.ai_addr, entry.ai_addrlen) == 0
    }

    /// The port of a URL such as `http://127.0.0.1:7860`.
    static func port(of url: String) -> Int? {
        url.split(separator: ":").last.flatMap { Int($0) }.flatMap { (1...65535).contains($0) ? $0 : nil }
    }
}
