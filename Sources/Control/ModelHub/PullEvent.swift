/// What a pull reports on its way, in the thread that pulls. A receiver should return soon.
public enum PullEvent: Sendable, Equatable {
    /// The hub is asked what the repository holds.
    case resolving(HubReference)
    /// Another process pulls the same model; this one waits for it.
    case waiting(model: String)
    /// The files are chosen: their names, and their bytes together where the hub tells them all.
    case started(model: String, files: [String], totalBytes: Int64?)
    /// A file is being fetched; `resumedFrom` bytes of it were there already.
    case file(String, size: Int64?, resumedFrom: Int64)
    /// Bytes that are there, of all files together. Comes often.
    case progress(completedBytes: Int64, totalBytes: Int64?)
    /// The connection broke or the hub is busy; it is tried again after the delay.
    case retrying(reason: String, after: Duration)
    /// The newest commit was in the store already.
    case upToDate(model: String)
}

extension PullEvent {
    /// The event of something that people know by another name than the store does.
    func naming(_ name: String) -> PullEvent {
        switch self {
        case .waiting: .waiting(model: name)
        case .started(_, let files, let totalBytes): .started(model: name, files: files, totalBytes: totalBytes)
        case .upToDate: .upToDate(model: name)
        default: self
        }
    }
}
