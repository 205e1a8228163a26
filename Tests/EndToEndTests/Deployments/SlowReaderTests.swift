import Foundation
import Glibc
import Testing

extension DeploymentTests {
    /// Clients that don't take what they asked for.
    @Suite struct SlowReaders {
        /// A connection with a small window that sends one request and reads nothing.
        private final class DeafClient {
            private let file: Int32

            init(url: String, path: String, body: String) throws {
                let address = url.split(separator: "/").last?.split(separator: ":") ?? []
                guard address.count == 2, let port = UInt16(address[1]) else {
                    throw BackgroundProcess.Failure(description: "no address in \(url)")
                }
                file = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
                var size: Int32 = 4096
                setsockopt(file, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
                var place = sockaddr_in()
                place.sin_family = sa_family_t(AF_INET)
                place.sin_port = port.bigEndian
                place.sin_addr.s_addr = inet_addr("127.0.0.1")
                let connected = withUnsafePointer(to: &place) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                guard connected == 0 else { throw BackgroundProcess.Failure(description: "connect: \(errno)") }
                let head =
                    "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                let sent = Array(head.utf8).withUnsafeBytes { send(file, $0.baseAddress, $0.count, 0) }
                guard sent == head.utf8.count else { throw BackgroundProcess.Failure(description: "send: \(errno)") }
            }

            deinit { close(file) }
        }

        @Test func othersAreServedWhileSomeNeverRead() throws {
            try DeploymentFixture.run { fixture in
                try fixture.deploy("d")
                let body = try WebClient.text([
                    "messages": [["role": "user", "content": "hi"]], "stream": true, "max_tokens": 400,
                    "logprobs": true, "top_logprobs": 20, "model": "d",
                ])
                var clients: [DeafClient] = []
                for _ in 0..<20 {
                    clients.append(try DeafClient(url: fixture.url, path: "/v1/chat/completions", body: body))
                }
                for _ in 0..<5 {
                    let answer = try fixture.web.request(
                        "POST", "/deployments/d/generate", ["inputs": "hi", "parameters": ["max_new_tokens": 5]])
                    #expect(answer.status == 200)
                    #expect(try fixture.state("d").status == "ready")
                }
                // When they go, what was computed for them ends.
                clients.removeAll()
                try fixture.until("nothing runs any more") {
                    let answer = try fixture.web.request("GET", "/v2/deployments/d")
                    let load = (answer.json["data"] as? [String: Any])?["load"] as? [String: Int]
                    return load?["running"] == 0 && load?["queued"] == 0
                }
            }
        }
    }
}
