import ServingEngine
import ServingTensors

/// Which adapters are on the device, who uses them, and who waits for room. A plain value that the library guards; it
/// knows neither files nor clock.
///
/// Adapters that nobody uses stay until their room is needed and go least recently used first. Loads that find no room
/// wait in order of arrival. While some wait, an adapter that has been there for a whole turn (`cycleTime`) takes no
/// new users out of order, so that a busy adapter cannot keep others out for ever (LoRAX's adapter cycle).
struct AdapterShelf {
    typealias Ticket = Int

    private struct Entry {
        let adapter: any ResidentAdapter
        /// Room it was given.
        let bytes: Int
        let since: Duration
        var userCount = 0
        var isPinned = false
        var lastUse: UInt64
    }

    /// What to do about an adapter that is wanted.
    enum Answer {
        /// It is there and has one user more.
        case resident(any ResidentAdapter)
        /// It is there, but others come first: wait for the ticket, then ask again.
        case wait(Ticket)
        /// It is not there.
        case absent
    }

    /// Room for adapters in bytes.
    let capacity: Int
    let cycleTime: Duration
    private var entries: [AdapterKey: Entry] = [:]
    private var usedBytes = 0
    private var pinnedBytes = 0
    private var clock: UInt64 = 0
    private var line: [(ticket: Ticket, bytes: Int)] = []
    private var lastTicket: Ticket = 0
    private(set) var evictionCount = 0

    init(capacity: Int, cycleTime: Duration) {
        self.capacity = capacity
        self.cycleTime = cycleTime
    }

    var count: Int { entries.count }
    var bytes: Int { usedBytes }
    var waitingCount: Int { line.count }

    /// Asks for an adapter. `isNext` says that the caller has waited for its turn.
    mutating func take(_ key: AdapterKey, now: Duration, isNext: Bool) -> Answer {
        guard var entry = entries[key] else { return .absent }
        if !isNext, !entry.isPinned, !line.isEmpty, now - entry.since > cycleTime { return .wait(enqueue(bytes: 0)) }
        clock += 1
        entry.lastUse = clock
        entry.userCount += 1
        entries[key] = entry
        return .resident(entry.adapter)
    }

    /// Bytes for adapters that come and go.
    var roomBesidePinned: Int { capacity - pinnedBytes }

    /// Whether an adapter of so many bytes can ever be there, beside those that stay for good.
    func canHold(_ bytes: Int) -> Bool { bytes <= roomBesidePinned }

    /// Counts an adapter among those that stay for good: nobody waits for their room. Pinning again changes nothing.
    mutating func pin(_ key: AdapterKey) {
        guard let entry = entries[key], !entry.isPinned else { return }
        entries[key]?.isPinned = true
        pinnedBytes += entry.bytes
    }

    /// Sets room aside; a ticket to wait for where there is none yet. What it returns a ticket for, `admitted` sets
    /// aside.
    mutating func reserve(_ bytes: Int) -> Ticket? {
        if line.isEmpty, makeRoom(bytes) {
            usedBytes += bytes
            return nil
        }
        return enqueue(bytes: bytes)
    }

    private mutating func enqueue(bytes: Int) -> Ticket {
        lastTicket += 1
        line.append((lastTicket, bytes))
        return lastTicket
    }

    /// Gives reserved room back that was not used.
    mutating func cancelReservation(_ bytes: Int) { usedBytes -= bytes }

    /// Takes somebody out of the line.
    mutating func leave(_ ticket: Ticket) { line.removeAll { $0.ticket == ticket } }

    /// Whether an adapter is there for good.
    func isPinned(_ key: AdapterKey) -> Bool { entries[key]?.isPinned ?? false }

    /// Whether an adapter is there.
    func holds(_ key: AdapterKey) -> Bool { entries[key] != nil }

    /// Puts an adapter into room that was reserved.
    mutating func put(
        _ key: AdapterKey, _ adapter: any ResidentAdapter, bytes: Int, userCount: Int, now: Duration
    ) {
        clock += 1
        precondition(entries[key] == nil, "an adapter is put on the shelf twice")
        entries[key] = Entry(adapter: adapter, bytes: bytes, since: now, userCount: userCount, lastUse: clock)
    }

    /// Counts one user less.
    mutating func release(_ key: AdapterKey) {
        guard var entry = entries[key] else { return }
        entry.userCount -= 1
        precondition(entry.userCount >= 0, "an adapter is released more often than taken")
        entries[key] = entry
    }

    /// Those in line for whom there is room now, in order; their bytes are set aside. Ask after every release.
    mutating func admitted() -> [Ticket] {
        var tickets: [Ticket] = []
        while let first = line.first, first.bytes == 0 || makeRoom(first.bytes) {
            usedBytes += first.bytes
            tickets.append(first.ticket)
            line.removeFirst()
        }
        return tickets
    }

    /// Drops unused adapters, least recently used first, until so many bytes are free. Drops none where that can't
    /// succeed.
    private mutating func makeRoom(_ bytes: Int) -> Bool {
        guard usedBytes + bytes > capacity else { return true }
        let idle = entries.filter { $0.value.userCount == 0 }.sorted { $0.value.lastUse < $1.value.lastUse }
        let idleBytes = idle.reduce(0) { $0 + $1.value.bytes }
        guard usedBytes - idleBytes + bytes <= capacity else { return false }
        for (key, entry) in idle where usedBytes + bytes > capacity {
            entries[key] = nil
            usedBytes -= entry.bytes
            evictionCount += 1
        }
        return true
    }

    /// Throws when the book-keeping contradicts itself; `reserved` are bytes set aside and not yet put to use.
    func checkIntegrity(reserved: Int) throws(ShelfError) {
        let sum = entries.values.reduce(reserved) { $0 + $1.bytes }
        guard sum == usedBytes, usedBytes <= capacity else { throw ShelfError(used: usedBytes, counted: sum) }
    }
}

/// A contradiction in a shelf's book-keeping.
struct ShelfError: Error {
    let used: Int
    let counted: Int
}
