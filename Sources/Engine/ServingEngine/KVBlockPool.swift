import ServingTensors

/// Hands out KV blocks, counts who holds them, and remembers which full blocks hold which prefix.
///
/// A remembered prefix is a chain of entries: each names its block, its parent entry and the block's token ids. Entry
/// numbers are never used twice, and a chain begins at a root that stands for one adapter, so finding an entry by
/// (parent, tokens) proves the whole prefix; the hash only finds the place to compare. A block whose last holder lets
/// go stays in the free list with its entry and is given up least recently used first. Blocks of a table are released
/// last to first, so that no entry outlives its parent.
///
/// Used by the ``Scheduler`` alone.
struct KVBlockPool {
    /// Names a remembered prefix; 0 names none.
    typealias PrefixID = UInt64

    /// What the cache knows of a block.
    private struct Entry {
        var id: PrefixID = 0
        var parent: PrefixID = 0
        var hash: UInt64 = 0
    }

    /// N.
    let blockCount: Int
    /// P.
    let positionsPerBlock: Int
    /// Blocks that nobody holds, those with a remembered prefix among them.
    private(set) var freeCount: Int
    /// Blocks that nobody holds and that have a remembered prefix.
    private(set) var cachedCount = 0

    /// Holders of each block, (N).
    private var holderCounts: [Int32]
    /// The free list, doubly linked, (N + 1); entry N is its head and tail. Blocks to hand out next come first.
    private var next: [BlockID]
    private var previous: [BlockID]
    /// (N)
    private var entries: [Entry]
    /// Token ids of remembered blocks, (N, P).
    private var blockTokenIDs: [TokenID]
    private var blockByHash: [UInt64: BlockID] = [:]
    private var lastPrefixID: PrefixID = 0

    /// Bits of the hashes in use; fewer of them make collisions, for tests.
    private let hashMask: UInt64

    /// A pool of free blocks; block 0 is handed out first.
    init(blockCount: Int, positionsPerBlock: Int, hashMask: UInt64 = .max) {
        self.hashMask = hashMask
        self.blockCount = blockCount
        self.positionsPerBlock = positionsPerBlock
        freeCount = blockCount
        holderCounts = Array(repeating: 0, count: blockCount)
        next = (0...blockCount).map { BlockID($0 == blockCount ? 0 : $0 + 1) }
        previous = (0...blockCount).map { BlockID($0 == 0 ? blockCount : $0 - 1) }
        entries = Array(repeating: Entry(), count: blockCount)
        blockTokenIDs = Array(repeating: 0, count: blockCount * positionsPerBlock)
    }

    /// Blocks that somebody holds.
    var usedCount: Int { blockCount - freeCount }

    // MARK: Holding blocks

    /// A block with one holder, its content undefined; nil when every block is held.
    mutating func allocate() -> BlockID? {
        guard freeCount > 0 else { return nil }
        let block = next[blockCount]
        unlink(block)
        forget(block)
        holderCounts[Int(block)] = 1
        return block
    }

    /// Adds a holder to a block.
    mutating func retain(_ block: BlockID) {
        if holderCounts[Int(block)] == 0 {
            unlink(block)
            if entries[Int(block)].id != 0 { cachedCount -= 1 }
        }
        holderCounts[Int(block)] += 1
    }

    /// Takes a holder from each block of a table, last to first.
    mutating func release(_ table: [BlockID]) {
        for block in table.reversed() { release(block) }
    }

    private mutating func release(_ block: BlockID) {
        precondition(holderCounts[Int(block)] > 0, "KV block \(block) is released more often than held")
        holderCounts[Int(block)] -= 1
        guard holderCounts[Int(block)] == 0 else { return }
        if entries[Int(block)].id == 0 {
            link(block, after: BlockID(blockCount))
        } else {
            link(block, after: previous[blockCount])
            cachedCount += 1
        }
    }

    /// How many of the blocks nobody holds.
    func unheldCount(of table: [BlockID]) -> Int {
        table.reduce(0) { $0 + (holderCounts[Int($1)] == 0 ? 1 : 0) }
    }

    // MARK: Remembering prefixes

    /// A root that no remembered prefix has yet.
    mutating func makeRoot() -> PrefixID {
        lastPrefixID += 1
        return lastPrefixID
    }

    /// The remembered blocks that hold the longest prefix of `tokenIDs` of at most `limit` tokens, and that prefix's
    /// name.
    func longestPrefix(root: PrefixID, of tokenIDs: [TokenID], limit: Int) -> (blocks: [BlockID], id: PrefixID) {
        var blocks: [BlockID] = []
        var parent = root
        while (blocks.count + 1) * positionsPerBlock <= limit {
            let start = blocks.count * positionsPerBlock
            guard let block = find(parent: parent, tokenIDs: tokenIDs, from: start) else { break }
            blocks.append(block)
            parent = entries[Int(block)].id
        }
        return (blocks, parent)
    }

    /// Remembers that the held `block` has keys and values of `tokenIDs[start ..< start + P]` after the prefix
    /// `parent`.
    ///
    /// When another block holds the same already, that one gets a holder, `block` loses one, and the caller must put
    /// the returned block in its place. Returns the prefix's name for the next block.
    mutating func remember(
        _ block: BlockID, parent: PrefixID, tokenIDs: [TokenID], from start: Int
    ) -> (block: BlockID, id: PrefixID) {
        if let other = find(parent: parent, tokenIDs: tokenIDs, from: start) {
            if other != block {
                retain(other)
                release(block)
            }
            return (other, entries[Int(other)].id)
        }
        lastPrefixID += 1
        let hash = hash(parent: parent, tokenIDs: tokenIDs, from: start)
        if let colliding = blockByHash[hash] {
            // Another prefix with this hash. It gives way: its entry could not be found any more.
            forget(colliding, isFree: holderCounts[Int(colliding)] == 0)
        }
        entries[Int(block)] = Entry(id: lastPrefixID, parent: parent, hash: hash)
        let slot = Int(block) * positionsPerBlock
        for offset in 0..<positionsPerBlock { blockTokenIDs[slot + offset] = tokenIDs[start + offset] }
        blockByHash[hash] = block
        return (block, lastPrefixID)
    }

    private func find(parent: PrefixID, tokenIDs: [TokenID], from start: Int) -> BlockID? {
        guard let block = blockByHash[hash(parent: parent, tokenIDs: tokenIDs, from: start)] else { return nil }
        guard entries[Int(block)].parent == parent else { return nil }
        let slot = Int(block) * positionsPerBlock
        for offset in 0..<positionsPerBlock where blockTokenIDs[slot + offset] != tokenIDs[start + offset] {
            return nil
        }
        return block
    }

    /// Drops what is remembered of a block. A free block's content counts as cached until then.
    private mutating func forget(_ block: BlockID, isFree: Bool = true) {
        let entry = entries[Int(block)]
        guard entry.id != 0 else { return }
        blockByHash[entry.hash] = nil
        entries[Int(block)] = Entry()
        if isFree { cachedCount -= 1 }
    }

    /// Folded multiply of each word, as wyhash mixes (Wang Yi, public domain). Collisions cost a miss, nothing else.
    private func hash(parent: PrefixID, tokenIDs: [TokenID], from start: Int) -> UInt64 {
        func folded(_ word: UInt64) -> UInt64 {
            let product = word.multipliedFullWidth(by: 0x8EBC_6AF0_9C88_C6E3)
            return product.high ^ product.low
        }
        // The parent is folded before a token meets it: parents and tokens are small numbers that would cancel out.
        var state = folded(parent ^ 0xA076_1D64_78BD_642F)
        for index in start..<start + positionsPerBlock {
            state = folded(state ^ UInt64(UInt32(bitPattern: tokenIDs[index])) ^ 0xE703_7ED1_A0B4_28DB)
        }
        return state & hashMask
    }

    // MARK: The free list

    private mutating func unlink(_ block: BlockID) {
        next[Int(previous[Int(block)])] = next[Int(block)]
        previous[Int(next[Int(block)])] = previous[Int(block)]
        freeCount -= 1
    }

    private mutating func link(_ block: BlockID, after place: BlockID) {
        let following = next[Int(place)]
        next[Int(place)] = block
        previous[Int(block)] = place
        next[Int(block)] = following
        previous[Int(following)] = block
        freeCount += 1
    }

    // MARK: Integrity

    /// Throws when counts, free list and remembered prefixes disagree with each other or with the tables of all
    /// holders.
    func checkIntegrity(tables: [[BlockID]]) throws(IntegrityError) {
        var expected = [Int32](repeating: 0, count: blockCount)
        for block in tables.joined() { expected[Int(block)] += 1 }
        for block in 0..<blockCount where expected[block] != holderCounts[block] {
            throw IntegrityError("block \(block) counts \(holderCounts[block]) holders, has \(expected[block])")
        }
        var seen = Set<BlockID>()
        var block = next[blockCount]
        while block != BlockID(blockCount) {
            try IntegrityError.require(seen.insert(block).inserted, "the free list has block \(block) twice")
            try IntegrityError.require(holderCounts[Int(block)] == 0, "held block \(block) is in the free list")
            try IntegrityError.require(previous[Int(next[Int(block)])] == block, "links around block \(block) disagree")
            block = next[Int(block)]
        }
        let unheld = holderCounts.count { $0 == 0 }
        try IntegrityError.require(
            seen.count == freeCount && unheld == freeCount, "\(unheld) blocks are free, \(freeCount) counted")
        let remembered = entries.indices.filter { entries[$0].id != 0 }
        let cached = remembered.count { holderCounts[$0] == 0 }
        try IntegrityError.require(cached == cachedCount, "\(cached) free blocks are cached, \(cachedCount) counted")
        try IntegrityError.require(
            remembered.count == blockByHash.count, "\(remembered.count) entries, \(blockByHash.count) hashes")
        for block in remembered {
            try IntegrityError.require(
                blockByHash[entries[block].hash] == BlockID(block), "block \(block) is not under its hash")
        }
    }
}
