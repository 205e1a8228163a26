import ServingEngine
import ServingTensors
import Testing

@testable import ServingRuntime

/// An adapter that weighs nothing.
private final class Feather: ResidentAdapter {
    let byteCount = 0
}

private func key(_ number: Int) -> AdapterKey { AdapterKey("adapter-\(number)") }

/// A shelf whose turns last two seconds.
private final class Shelf {
    private var shelf: AdapterShelf

    init(bytes: Int) { shelf = AdapterShelf(capacity: bytes, cycleTime: .seconds(2)) }

    /// Room for `capacity` adapters of 10 bytes, `count` of which are there, unused.
    convenience init(capacity: Int, count: Int) {
        self.init(bytes: capacity * 10)
        for number in 0..<count {
            let ticket = reserve(10)
            precondition(ticket == nil)
            put(number, bytes: 10, userCount: 0, now: .zero)
        }
    }

    var evictionCount: Int { shelf.evictionCount }
    func holds(_ number: Int) -> Bool { shelf.holds(key(number)) }
    func canHold(_ bytes: Int) -> Bool { shelf.canHold(bytes) }
    func reserve(_ bytes: Int) -> AdapterShelf.Ticket? { shelf.reserve(bytes) }
    func cancelReservation(_ bytes: Int) { shelf.cancelReservation(bytes) }
    func release(_ number: Int) { shelf.release(key(number)) }
    func pin(_ number: Int) { shelf.pin(key(number)) }
    func leave(_ ticket: AdapterShelf.Ticket) { shelf.leave(ticket) }
    func admitted() -> [AdapterShelf.Ticket] { shelf.admitted() }
    func checkIntegrity(reserved: Int) throws { try shelf.checkIntegrity(reserved: reserved) }

    func put(_ number: Int, bytes: Int, userCount: Int, now: Duration) {
        shelf.put(key(number), Feather(), bytes: bytes, userCount: userCount, now: now)
    }

    func take(_ number: Int, at now: Duration = .zero, isNext: Bool = false) -> Bool {
        if case .resident = shelf.take(key(number), now: now, isNext: isNext) { return true }
        return false
    }

    func ticket(_ number: Int, at now: Duration) -> AdapterShelf.Ticket? {
        if case .wait(let ticket) = shelf.take(key(number), now: now, isNext: false) { return ticket }
        return nil
    }
}

@Suite struct AdapterShelfTests {
    @Test func theLeastRecentlyUsedOfThoseThatNobodyUsesGoesFirst() throws {
        let shelf = Shelf(capacity: 3, count: 3)
        #expect(shelf.take(0))
        #expect(shelf.take(1))
        #expect(shelf.take(2))
        shelf.release(1)
        shelf.release(2)
        #expect(shelf.reserve(10) == nil)
        try shelf.checkIntegrity(reserved: 10)
        #expect(shelf.holds(0), "it is in use")
        #expect(!shelf.holds(1), "it was used before 2")
        #expect(shelf.holds(2))
        #expect(shelf.evictionCount == 1)
    }

    @Test func nothingIsDroppedForWhatWouldNotFitAnyhow() {
        let shelf = Shelf(capacity: 3, count: 3)
        #expect(shelf.take(0))
        #expect(shelf.reserve(30) != nil)
        #expect(shelf.holds(1) && shelf.holds(2))
    }

    @Test func thoseWhoWaitForRoomGetItInOrder() throws {
        let shelf = Shelf(capacity: 2, count: 2)
        #expect(shelf.take(0))
        #expect(shelf.take(1))
        let first = try #require(shelf.reserve(20))
        let second = try #require(shelf.reserve(10))
        shelf.release(0)
        #expect(shelf.admitted() == [], "the second would fit, but the first was there before")
        shelf.release(1)
        #expect(shelf.admitted() == [first])
        try shelf.checkIntegrity(reserved: 20)
        shelf.cancelReservation(20)
        #expect(shelf.admitted() == [second])
        try shelf.checkIntegrity(reserved: 10)
    }

    @Test func aFailedLoadGivesItsRoomBack() throws {
        let shelf = Shelf(capacity: 1, count: 0)
        for _ in 0..<100 {
            #expect(shelf.reserve(10) == nil)
            shelf.cancelReservation(10)
        }
        try shelf.checkIntegrity(reserved: 0)
        #expect(shelf.reserve(10) == nil)
    }

    @Test func aBusyAdapterLetsOthersInAfterItsTurn() throws {
        let shelf = Shelf(capacity: 1, count: 1)
        #expect(shelf.take(0))
        let waiting = try #require(shelf.reserve(10))
        #expect(shelf.take(0, at: .seconds(1)), "its turn is not over")
        let ticket = try #require(shelf.ticket(0, at: .seconds(3)), "a new user went before those who wait for room")
        shelf.release(0)
        #expect(shelf.admitted() == [])
        shelf.release(0)
        #expect(shelf.admitted() == [waiting, ticket], "room first, then the user who asks again")
        #expect(!shelf.holds(0))
    }

    @Test func aUserWhoGivesUpLeavesTheLine() throws {
        let shelf = Shelf(capacity: 1, count: 1)
        #expect(shelf.take(0))
        let first = try #require(shelf.reserve(10))
        let second = try #require(shelf.reserve(10))
        shelf.leave(first)
        shelf.release(0)
        #expect(shelf.admitted() == [second])
    }

    @Test func nobodyCountsOnTheRoomOfPinnedAdapters() {
        let shelf = Shelf(capacity: 3, count: 1)
        shelf.pin(0)
        shelf.pin(0)
        #expect(shelf.canHold(20))
        #expect(!shelf.canHold(21))
    }

    @Test(arguments: 0..<20) func theBooksAgreeWhateverHappens(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let shelf = Shelf(bytes: 100)
        var users: [Int: Int] = [:]
        var reserved: [Int: Int] = [:]
        var waiting: [AdapterShelf.Ticket: (number: Int, bytes: Int)] = [:]
        for step in 0..<400 {
            let number = Int.random(in: 0..<12, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0
            where !shelf.holds(number) && reserved[number] == nil
                && !waiting.values.contains { $0.number == number }:
                let bytes = Int.random(in: 1...60, using: &random)
                if let ticket = shelf.reserve(bytes) {
                    waiting[ticket] = (number, bytes)
                } else {
                    reserved[number] = bytes
                }
            case 1:
                guard let (number, bytes) = reserved.min(by: { $0.key < $1.key }) else { continue }
                reserved[number] = nil
                if Bool.random(using: &random) {
                    shelf.put(number, bytes: bytes, userCount: 1, now: .seconds(step))
                    users[number] = 1
                } else {
                    shelf.cancelReservation(bytes)
                }
            case 2:
                if shelf.take(number, at: .seconds(step), isNext: true) { users[number, default: 0] += 1 }
            default:
                guard let count = users[number], count > 0 else { continue }
                #expect(shelf.holds(number), "an adapter went while it was used")
                users[number] = count - 1
                shelf.release(number)
            }
            for ticket in shelf.admitted() {
                guard let (number, bytes) = waiting.removeValue(forKey: ticket) else {
                    Issue.record("somebody was let in who did not wait")
                    continue
                }
                reserved[number] = bytes
            }
            try shelf.checkIntegrity(reserved: reserved.values.reduce(0, +))
        }
    }
}

/// splitmix64.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
