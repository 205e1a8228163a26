import Glibc

/// An advisory lock on a file (`flock`), held until the value is destroyed or its process ends. The lock file stays:
/// removing it would let a third process lock a new file of that name beside the second's old one.
struct FileLock: ~Copyable {
    private let descriptor: Int32

    /// Takes the lock, or gives nil where another holds it.
    /// - Throws: `.cannotWrite` where the lock file cannot be made.
    init?(trying path: String) throws(ModelHubError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw FileSystem.failure("cannot lock", path) }
        var status: Int32
        repeat { status = flock(file, LOCK_EX | LOCK_NB) } while status != 0 && errno == EINTR
        guard status == 0 else {
            let number = errno
            close(file)
            guard number == EWOULDBLOCK else { throw FileSystem.failure("cannot lock", path, number) }
            return nil
        }
        descriptor = file
    }

    deinit { close(descriptor) }
}
