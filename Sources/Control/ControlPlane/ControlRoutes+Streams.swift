import ControlAPI
import ControlStore
import Deployments
import HTTPServing
import HTTPTypes
import Hummingbird
import ReplicaLaunchers
import ServingJSON

extension ControlRoutes {
    // MARK: Events

    /// Events, of one deployment (also one that is history, by its id) or of all; with `follow` those to come as they
    /// come.
    func events(_ request: Request, _ presence: ClientPresence) async throws(ControlError) -> ControlAnswer {
        let id = try await request.query("deployment").asyncMap { name throws(ControlError) in
            try await service.view(name).uuid
        }
        let after = Int64(try request.count("after", 0...Int.max) ?? 0)
        let limit = try request.count("limit", 1...10_000) ?? 200
        guard request.query("follow") == "true" else {
            let events = try await read(id, after, limit)
            return .json(["data": .array(events.map { .object(EventView($0).json) })])
        }
        // First the stream, then the past, so that nothing falls between.
        let stream = store.eventStream()
        let past = try await read(id, after, limit)
        return .stream(streams, presence) { writer in
            var last = after
            for event in past {
                last = max(last, event.number)
                try await writer.write(EventStream.frame(.object(EventView(event).json)))
            }
            for await event in stream where event.number > last && (id == nil || event.deploymentID == id) {
                try await writer.write(EventStream.frame(.object(EventView(event).json)))
            }
        }
    }

    /// The newest events, oldest first.
    private func read(_ id: String?, _ after: Int64, _ limit: Int) async throws(ControlError) -> [DeploymentEvent] {
        do throws(StoreError) {
            return try await store.events(of: id, after: after, limit: limit, newestFirst: after == 0).sorted {
                $0.number < $1.number
            }
        } catch {
            throw ControlError(error)
        }
    }

    // MARK: Watching

    /// A deployment each time it changes, at most five times a second, until it is deleted.
    func watch(_ name: String, _ presence: ClientPresence) async throws(ControlError) -> ControlAnswer {
        let id = try await service.view(name).uuid
        guard let (number, signs) = await reconciler.watch(id) else {
            throw ControlError(.notFound, "deployment \"\(name)\" is deleted")
        }
        let (routes, reconciler) = (self, reconciler)
        return .stream(streams, presence) { writer in
            do {
                for await _ in signs {
                    guard let view = await reconciler.view(id: id) else { break }
                    try await writer.write(EventStream.frame(.object(routes.complete(view).json)))
                    try await Task.sleep(for: .milliseconds(200))
                }
                // What the reconciler has let go is written down as deleted in the next instant.
                for _ in 0..<50 {
                    if let stored = try? await routes.store.deployment(id: id), stored.deletedAt != nil {
                        let view = routes.complete(DeploymentView(stored))
                        try await writer.write(EventStream.frame(.object(view.json)))
                        break
                    }
                    try await Task.sleep(for: .milliseconds(100))
                }
            } catch {
                await reconciler.endWatch(id, number)
                throw error
            }
            await reconciler.endWatch(id, number)
        }
    }

    // MARK: Logs

    /// What replicas wrote: of one, or of all that there are.
    func logs(_ request: Request, _ name: String, _ presence: ClientPresence) async throws(ControlError)
        -> ControlAnswer
    {
        let view = try await service.view(name)
        var options = LogOptions(
            tail: try request.count("tail", 0...1_000_000), follow: request.query("follow") == "true")
        if let text = request.query("since"), !text.isEmpty {
            guard let since = Timestamp(iso8601: text) else {
                throw ControlError(.malformed, "since \(text.prefix(40)): expected a time such as 2026-11-25T01:02:03Z")
            }
            options.since = since
        }
        let ids = try await replicas(request.query("replica"), of: view)
        var logs: [AsyncThrowingStream<LogLine, any Error>] = []
        for id in ids {
            do throws(LauncherError) {
                logs.append(try await launcher.logs(id, options))
            } catch {
                // One without a log yet is no reason to keep the others' back.
                if error.code != .notFound || ids.count == 1, request.query("replica") != nil {
                    throw ControlError(.notFound, error.message)
                }
            }
        }
        let (all, follows) = (logs, options.follow)
        return .stream(streams, presence) { writer in
            if all.count == 1 || !follows {
                for stream in all {
                    for try await line in stream { try await writer.write(Self.frame(line)) }
                }
            } else {
                let (lines, continuation) = AsyncStream<LogLine>.makeStream(bufferingPolicy: .bufferingNewest(10_000))
                let reading = Task {
                    await withDiscardingTaskGroup { group in
                        for stream in all {
                            group.addTask {
                                do { for try await line in stream { continuation.yield(line) } } catch {}
                            }
                        }
                    }
                    continuation.finish()
                }
                defer { reading.cancel() }
                for await line in lines { try await writer.write(Self.frame(line)) }
            }
        }
    }

    private static func frame(_ line: LogLine) -> [UInt8] {
        EventStream.frame(.object(LogLineView(replica: line.replica.text, at: line.at, text: line.text).json))
    }

    private func replicas(_ wanted: String?, of view: DeploymentView) async throws(ControlError) -> [ReplicaID] {
        var known = await reconciler.replicaIDs(view.uuid)
        if let wanted {
            // The part after the deployment's name does, too.
            let full = ReplicaID(wanted.hasPrefix(view.name + "-") ? wanted : "\(view.name)-\(wanted)")
            return [full]
        }
        if known.isEmpty, let records = try? await store.replicas(of: view.uuid) {
            // Nothing runs: the log of the last one is what its owner looks for.
            known = records.max { $0.launchedAt < $1.launchedAt }.map { [$0.id] } ?? []
        }
        return known
    }
}

extension Optional {
    fileprivate func asyncMap<Value, Failure: Error>(
        _ transform: (Wrapped) async throws(Failure) -> Value
    ) async throws(Failure) -> Value? {
        guard let self else { return nil }
        return try await transform(self)
    }
}

extension EventStream {
    /// An event that holds a value.
    static func frame(_ value: JSONValue) -> [UInt8] { Array("data: \(value.text())\n\n".utf8) }
}
