import ControlClient
import Glibc
import Testing

/// A server for these tests is a script that answers one request after another with Python, as quick as it comes.
@Suite(.serialized) struct LocalServerTests {
    private final class Folder {
        let path: String

        init() throws {
            var template = Array("/tmp/pbctl-local-server-XXXXXX".utf8CString)
            path = String(cString: try #require(mkdtemp(&template)))
        }

        deinit { system("rm -rf '\(path)'") }

        func write(_ name: String, _ text: String, mode: mode_t = 0o644) {
            let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
            _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
            close(file)
        }

        /// A stand-in for `pbctl server run`: takes the lock, waits a little, listens, says so.
        func serverScript(delay: Double = 0.2) -> String {
            write(
                "pbctl",
                """
                #!/usr/bin/env python3
                import fcntl, http.server, os, sys, time
                folder = sys.argv[1]
                lock = open(folder + "/server.lock", "a+")
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    sys.exit("another server runs")
                with open(folder + "/starts", "a") as starts: starts.write("x")
                time.sleep(\(delay))
                class Handler(http.server.BaseHTTPRequestHandler):
                    def do_GET(self):
                        body = b'{"status":"ok"}'
                        self.send_response(200)
                        self.send_header("Content-Length", str(len(body)))
                        self.end_headers()
                        self.wfile.write(body)
                    def log_message(self, *arguments): pass
                server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
                lock.truncate(0)
                lock.write("%d\\n%d\\nhttp://127.0.0.1:%d\\n" % (os.getpid(), 1, server.server_port))
                lock.flush()
                server.serve_forever()
                """, mode: 0o755)
            return path + "/pbctl"
        }

        var startCount: Int {
            var status = stat()
            return stat(path + "/starts", &status) == 0 ? Int(status.st_size) : 0
        }
    }

    private func failure(_ body: () async throws(ControlClientError) -> Void) async -> ControlClientError? {
        do throws(ControlClientError) { try await body() } catch { return error }
        return nil
    }

    @Test func manyCommandsAtOnceBringUpOneServer() async throws {
        let folder = try Folder()
        let server = LocalServer(folder: folder.path)
        let launch = LocalServer.Launch(executable: folder.serverScript(), arguments: [folder.path])
        let results = await withTaskGroup(of: Result<(LocalServer.Record, Bool), ControlClientError>.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do throws(ControlClientError) {
                        let (record, wasStarted) = try await server.startIfNeeded(launch)
                        return .success((record, wasStarted))
                    } catch { return .failure(error) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let started = try results.map { try $0.get() }
        #expect(Set(started.map(\.0)).count == 1 && started.count { $0.1 } == 1 && folder.startCount == 1)
        let record = try #require(server.record())
        let again = try await server.startIfNeeded(launch)
        #expect(again.record == record && !again.wasStarted)
        kill(record.processID, SIGKILL)
        // It is this process's child: reaped, it is gone for good.
        waitpid(record.processID, nil, 0)
        #expect(await server.running(apiKey: nil) == nil)
        let isGone = try await server.waitForEnd(of: record.processID, within: .seconds(1))
        #expect(isGone)
    }

    @Test func aServerThatFailsSaysWhyAtOnce() async throws {
        let folder = try Folder()
        let script = "#!/bin/sh\necho 'pbctl: first line'\necho 'port 80: not permitted' >&2\nexit 1\n"
        folder.write("pbctl", script, mode: 0o755)
        folder.write("server.log", "of an earlier run\n")
        let launch = LocalServer.Launch(executable: folder.path + "/pbctl", arguments: [], patience: .seconds(60))
        let error = await failure { () throws(ControlClientError) in
            _ = try await LocalServer(folder: folder.path).startIfNeeded(launch)
        }
        #expect(error?.code == .notRunning)
        #expect(error?.message == "the server did not start: first line | port 80: not permitted")
        let missing = LocalServer.Launch(executable: folder.path + "/absent", arguments: [])
        let absent = await failure { () throws(ControlClientError) in
            _ = try await LocalServer(folder: folder.path).startIfNeeded(missing)
        }
        #expect(absent?.code == .notRunning && absent?.message.contains("/absent") == true)
    }

    @Test func aStaleOrOddLockFileIsNoServer() async throws {
        let folder = try Folder()
        let server = LocalServer(folder: folder.path)
        #expect(server.record() == nil)
        for text in ["", "\n", "x\n1\nhttp://127.0.0.1:1\n", "0\n\n\n", "-5\n1\nu\n", "99999999999999\n1\nu\n"] {
            folder.write("server.lock", text)
            #expect(server.record() == nil, "\(text)")
        }
        folder.write("server.lock", "\(getpid())\n1")
        #expect(server.record() == LocalServer.Record(processID: getpid(), url: nil))
        // Alive, but nothing answers there: the number is another process's by now.
        folder.write("server.lock", "\(getpid())\n1\nhttp://127.0.0.1:1\n")
        #expect(await server.running(apiKey: nil) == nil)
    }

    @Test func aServerThatNeitherAnswersNorEndsIsTold() async throws {
        let folder = try Folder()
        let server = LocalServer(folder: folder.path)
        folder.write("server.lock", "\(getpid())\n1\nhttp://127.0.0.1:1\n")
        #expect(!server.isHeld)
        let holder = open(server.lockPath, O_RDWR | O_CLOEXEC)
        defer { close(holder) }
        #expect(flock(holder, LOCK_EX) == 0 && server.isHeld)
        folder.write("pbctl", "#!/bin/sh\necho 'pbctl: another server runs'\nexit 1\n", mode: 0o755)
        let launch = LocalServer.Launch(
            executable: folder.path + "/pbctl", arguments: [], patience: .milliseconds(400))
        let error = await failure { () throws(ControlClientError) in _ = try await server.startIfNeeded(launch) }
        #expect(error?.message == "the server (pid \(getpid())) neither answers nor ends")
    }

    @Test func theAddressIsDecidedInOnePlace() {
        let none: (String) -> String? = { _ in nil }
        let variable: (String) -> String? = { $0 == "PBCTL_SERVER" ? "http://b:2" : nil }
        #expect(ServerAddress(option: nil, environment: none) == .local)
        #expect(ServerAddress(option: nil, environment: variable) == .remote(url: "http://b:2"))
        #expect(ServerAddress(option: "https://a", environment: variable) == .remote(url: "https://a"))
        #expect(ServerAddress(option: "a:1", environment: variable) == .remote(url: "http://a:1"))
        #expect(ServerAddress(option: "local", environment: variable) == .local)
        #expect(ServerAddress(option: "", environment: { _ in "" }) == .local)
    }
}
