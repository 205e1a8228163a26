package import Deployments
import Dispatch

extension ControlStore {
    /// Makes a copy of the state where the last one is a day old or there is none. Returns whether one was made.
    ///
    /// A disk without room for it and some more is no error: the old copy stays.
    @discardableResult
    package func backUpIfDue(now: Timestamp) async throws(StoreError) -> Bool {
        if let last = StoreFiles.modified(files.backup), last <= now.milliseconds,
            now.since(Timestamp(milliseconds: last)) < .seconds(24 * 3600)
        {
            return false
        }
        return try await backUp()
    }

    /// Makes a copy of the state, in the place of the last. Returns false where the disk has no room for it.
    @discardableResult
    package func backUp() async throws(StoreError) -> Bool {
        let result = await withCheckedContinuation { done in
            copying.async { [files] in
                done.resume(returning: Result { () throws(StoreError) in try Self.copy(files) })
            }
        }
        return try result.get()
    }

    /// Once an hour, until the task is cancelled, drops old history and makes a copy where one is due. What fails is
    /// tried again an hour later: it is housekeeping, and changes say for themselves when the disk is full.
    package func keepHouse(clock: any ControlClock) async {
        while !Task.isCancelled {
            try? await prune()
            _ = try? await backUpIfDue(now: clock.now())
            try? await Task.sleep(for: .seconds(3600))
        }
    }

    /// Makes a copy in the background. That it can't be made shows in the age of the last one only: a start must not
    /// fail for it.
    func startBackup() {
        copying.async { [files] in _ = try? Self.copy(files) }
    }

    private static func copy(_ files: StoreFiles) throws(StoreError) -> Bool {
        let size = (StoreFiles.size(of: files.database) ?? 0) + (StoreFiles.size(of: files.log) ?? 0)
        // 16 MiB are left for the state itself to grow.
        if let free = files.freeBytes, free < size + 16 << 20 { return false }
        let opening = StoreOpening(files: files, busyTimeout: 5, schema: .current)
        try opening.copyDatabase(to: files.backup, "make a copy of the state")
        return true
    }
}
