import Glibc
package import NIOCore

/// Why a server can't listen. One line: what, where, what to do.
package struct ListenError: Error, Sendable, CustomStringConvertible {
    /// The line.
    package let description: String

    /// The system refused the address.
    package init(_ error: IOError, host: String, port: Int) {
        description =
            switch error.errnoCode {
            case EADDRINUSE: "port \(port) on \(host) is in use (choose another with --port, or 0 for any that is free)"
            case EACCES: "port \(port) on \(host) may not be used by this user (choose one above 1023 with --port)"
            case EADDRNOTAVAIL: "\(host) is no address of this machine (see --host)"
            default: "can't listen on \(host):\(port): \(String(cString: strerror(error.errnoCode)))"
            }
    }

    /// The address is none.
    package init(_ error: SocketAddressError, host: String) { self.init(unknownHost: host) }

    /// No address belongs to the name.
    package init(unknownHost host: String) {
        description = "\(host) is no host that is known here (see --host)"
    }
}
