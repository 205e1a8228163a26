import ServingEngine
import ServingTensors
import Testing

@testable import ServingRuntime

/// An adapter that weighs nothing.
private final class Feather: ResidentAdapter {
    let byteCount = 0
}

@Suite struct AdapterShelfTests {
    private func key(_ number: Int) -> AdapterKey { AdapterKey("adapter-\(number)") }

    /// A shelf with room for `capacity` adapters of 10 bytes, `count` of which are there, unused.
    private func shelf(capacity: Int, count: Int) -> AdapterShelf {
        var shelf = AdapterShelf(capacity: capacity * 10, cycleTime: .seconds(2))
        for number in 0..<count {
            let ticket = shelf.reserve(10)
            precondition(ticket == nil)
            shelf.put(key(number), Feather(), bytes: 10, userCount: 0, now: .zero)
        }
        return shelf
    }

    private func take(_ shelf: inout AdapterShelf, _ number: Int, at now: Duration = .zero, isNext: Bool = false)
        -> Bool
    {
        if case .resident = shelf.take(key(number), now: now, isNext: isNext) { return true }
        return false
    }

    @Test func theLeastRecentlyUsedOfThoseThatNobodyUsesGoesFirst() throws {
        var shelf = shelf(capacity: 3, count: 3)
        #expect(take(&shelf, 0))
        #expect(take(&shelf, 1))
        #expect(take(&shelf, 2))
        shelf.release(key(1))
        shelf.release(key(2))
        #expect(shelf.reserve(10) == nil)
        try shelf.checkIntegrity(reserved: 10)
        #expect(shelf.holds(key(0)), "it is in use")
        #expect(!shelf.holds(key(1)), "it was used before 2")
        #expect(shelf.holds(key(2)))
        #expect(shelf.evictionCount == 1)
    }

    @Test func nothingIsDroppedForWhatWouldNotFitAnyhow() {
        var shelf = shelf(capacity: 3, count: 3)
        #expect(take(&shelf, 0))
        #expect(shelf.reserve(30) != nil)
        #expect(shelf.holds(key(1)) && shelf.holds(key(2)))
    }

    @Test func thoseWhoWaitForRoomGetItInOrder() throws {
        var shelf = shelf(capacity: 2, count: 2)
        #expect(take(&shelf, 0))
        #expect(take(&shelf, 1))
        let first = try #require(shelf.reserve(20))
        let second = try #require(shelf.reserve(10))
        shelf.release(key(0))
        #expect(shelf.admitted() == [], "the second would fit, but the first was there before")
        shelf.release(key(1))
        #expect(shelf.admitted() == [first])
        try shelf.checkIntegrity(reserved: 20)
        shelf.cancelReservation(20)
        #expect(shelf.admitted() == [second])
        try shelf.checkIntegrity(reserved: 10)
    }

    @Test func aFailedLoadGivesItsRoomBack() throws {
        var shelf = shelf(capacity: 1, count: 0)
        for _ in 0..<100 {
            #expect(shelf.reserve(10) == nil)
            shelf.cancelReservation(10)
        }
        try shelf.checkIntegrity(reserved: 0)
        #expect(shelf.reserve(10) == nil)
    }

    @Test func aBusyAdapterLetsOthersInAfterItsTurn() throws {
        var shelf = shelf(capacity: 1, count: 1)
        #expect(take(&shelf, 0))
        let waiting = try #require(shelf.reserve(10))
        #expect(take(&shelf, 0, at: .seconds(1)), "its turn is not over")
        guard case .wait(let ticket) = shelf.take(key(0), now: .seconds(3), isNext: false) else {
            Issue.record("a new user went before those who wait for room")
            return
        }
        shelf.release(key(0))
        #expect(shelf.admitted() == [])
        shelf.release(key(0))
        #expect(shelf.admitted() == [waiting, ticket], "room first, then the user who asks again")
        #expect(!shelf.holds(key(0)))
    }

    @Test func aUserWhoGivesUpLeavesTheLine() throws {
        var shelf = shelf(capacity: 1, count: 1)
        #expect(take(&shelf, 0))
        let first = try #require(shelf.reserve(10))
        let second = try #require(shelf.reserve(10))
        shelf.leave(first)
        shelf.release(key(0))
        #expect(shelf.admitted() == [second])
    }

    @Test func nobodyCountsOnTheRoomOfPinnedAdapters() {
        var shelf = shelf(capacity: 3, count: 1)
        shelf.pin(key(0))
        shelf.pin(key(0))
        #expect(shelf.canHold(20))
        #expect(!shelf.canHold(21))
    }

    @Test(arguments: 0..<20) func theBooksAgreeWhateverHappens(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        var shelf = AdapterShelf(capacity: 100, cycleTime: .seconds(2))
        var users: [Int: Int] = [:]
        var reserved: [Int: Int] = [:]
        var waiting: [AdapterShelf.Ticket: (number: Int, bytes: Int)] = [:]
        for step in 0..<400 {
            let number = Int.random(in: 0..<12, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0
            where !shelf.holds(key(number)) && reserved[number] == nil
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
                    shelf.put(key(number), Feather(), bytes: bytes, userCount: 1, now: .seconds(step))
                    users[number] = 1
                } else {
                    shelf.cancelReservation(bytes)
                }
            case 2:
                if take(&shelf, number, at: .seconds(step), isNext: true) { users[number, default: 0] += 1 }
            default:
                guard let count = users[number], count > 0 else { continue }
                #expect(shelf.holds(key(number)), "an adapter went while it was used")
                users[number] = count - 1
                shelf.release(key(number))
            }
            for ticket in shelf.admitted() {
                let (number, bytes) = try #require(waiting.removeValue(forKey: ticket))
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
