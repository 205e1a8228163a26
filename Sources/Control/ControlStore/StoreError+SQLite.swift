import GRDB

extension StoreError {
    /// What an error of a database access means to the caller.
    ///
    /// - Parameter action: what was tried, as in "cannot ACTION".
    init(_ error: any Error, action: String, files: StoreFiles) {
        if let error = error as? StoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self.init(.failed, "\(files.database): cannot \(action): \(error)")
            return
        }
        self.init(error, action: action, files: files)
    }

    private init(_ error: DatabaseError, action: String, files: StoreFiles) {
        let said = error.message ?? "error \(error.extendedResultCode.rawValue)"
        let place = "\(files.database): cannot \(action)"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(.diskFull, "\(place): the disk is full; make room, nothing was changed", cause: said)
        case .SQLITE_IOERR where files.isDiskFull:
            self.init(.diskFull, "\(place): the disk is full; make room, nothing was changed", cause: said)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(
                .busy, "\(place): another program keeps the file locked; end it (fuser \(files.database)) or try again",
                cause: said)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self = files.damage(said)
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
            self.init(.cannotOpen, "\(place): \(said); check who owns the file and its folder", cause: said)
        case .SQLITE_MISUSE:
            self.init(.closed, "\(place): the store is closed", cause: said)
        default:
            self.init(.failed, "\(place): \(said)", cause: said)
        }
    }
}
