/// Those who watch deployments: each gets a sign when something changed, and looks for itself.
struct DeploymentViewers {
    private var nextID = 0
    private var viewers: [String: [Int: AsyncStream<Void>.Continuation]] = [:]

    /// A stream of signs about a deployment, the first at once; it ends when the deployment does. Signs that nobody
    /// took yet are one.
    mutating func add(_ id: String) -> (number: Int, signs: AsyncStream<Void>) {
        let (signs, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        nextID += 1
        viewers[id, default: [:]][nextID] = continuation
        continuation.yield()
        return (nextID, signs)
    }

    mutating func remove(_ id: String, _ number: Int) {
        viewers[id]?.removeValue(forKey: number)?.finish()
        if viewers[id]?.isEmpty == true { viewers[id] = nil }
    }

    func changed(_ id: String) {
        for viewer in (viewers[id] ?? [:]).values { viewer.yield() }
    }

    mutating func ended(_ id: String) {
        for viewer in (viewers.removeValue(forKey: id) ?? [:]).values { viewer.finish() }
    }
}
