import ServingTensors
import Testing

@testable import ServingEngine

@Suite struct KVBlockPoolTests {
    private func take(_ pool: inout KVBlockPool) throws -> BlockID {
        let block = pool.allocate()
        return try #require(block)
    }

    @Test func leastRecentlyUsedPrefixGoesFirst() throws {
        var pool = KVBlockPool(blockCount: 3, positionsPerBlock: 2)
        let root = pool.makeRoot()
        for tokens: [TokenID] in [[1, 1], [2, 2], [3, 3]] {
            let block = try take(&pool)
            _ = pool.remember(block, parent: root, tokenIDs: tokens, from: 0)
            pool.release([block])
        }
        #expect(pool.cachedCount == 3)
        // Using [1, 1] again makes [2, 2] the oldest.
        let hit = pool.longestPrefix(root: root, of: [1, 1], limit: 2).blocks
        pool.retain(hit[0])
        pool.release(hit)
        #expect(pool.allocate() == 1)
        #expect(pool.longestPrefix(root: root, of: [2, 2], limit: 2).blocks.isEmpty)
        #expect(pool.longestPrefix(root: root, of: [1, 1], limit: 2).blocks == [0])
        #expect(pool.longestPrefix(root: root, of: [3, 3], limit: 2).blocks == [2])
        try pool.checkIntegrity(tables: [[1]])
    }

    @Test func equalTokensAfterAnotherPrefixOrAdapterAreNotShared() throws {
        var pool = KVBlockPool(blockCount: 4, positionsPerBlock: 2)
        let (base, other) = (pool.makeRoot(), pool.makeRoot())
        let table = [try take(&pool), try take(&pool)]
        var id = base
        for (index, block) in table.enumerated() {
            id = pool.remember(block, parent: id, tokenIDs: [5, 6, 7, 8], from: 2 * index).id
        }
        #expect(pool.longestPrefix(root: base, of: [5, 6, 7, 8], limit: 4).blocks == table)
        #expect(pool.longestPrefix(root: base, of: [5, 6, 7, 8], limit: 3).blocks == [table[0]])
        #expect(pool.longestPrefix(root: other, of: [5, 6, 7, 8], limit: 4).blocks.isEmpty)
        #expect(pool.longestPrefix(root: base, of: [7, 8], limit: 2).blocks.isEmpty)
    }

    @Test func secondBlockWithTheSameContentIsReplacedByTheFirst() throws {
        var pool = KVBlockPool(blockCount: 4, positionsPerBlock: 2)
        let root = pool.makeRoot()
        let (first, second) = (try take(&pool), try take(&pool))
        let kept = pool.remember(first, parent: root, tokenIDs: [1, 2], from: 0)
        let replaced = pool.remember(second, parent: root, tokenIDs: [1, 2], from: 0)
        #expect(kept == replaced)
        #expect(pool.usedCount == 1)
        try pool.checkIntegrity(tables: [[first], [first]])
    }

    @Test func longPrefixIsGivenUpFromItsEnd() throws {
        var pool = KVBlockPool(blockCount: 3, positionsPerBlock: 1)
        var id = pool.makeRoot()
        let root = id
        let table = [try take(&pool), try take(&pool), try take(&pool)]
        for (index, block) in table.enumerated() {
            id = pool.remember(block, parent: id, tokenIDs: [1, 2, 3], from: index).id
        }
        pool.release(table)
        _ = try take(&pool)
        #expect(pool.longestPrefix(root: root, of: [1, 2, 3], limit: 3).blocks == [0, 1])
    }

    @Test func collidingHashesNeverShareBlocks() throws {
        var pool = KVBlockPool(blockCount: 8, positionsPerBlock: 1, hashMask: 0)
        let root = pool.makeRoot()
        let first = try take(&pool)
        let id = pool.remember(first, parent: root, tokenIDs: [1], from: 0).id
        #expect(pool.longestPrefix(root: root, of: [2], limit: 1).blocks.isEmpty)
        #expect(pool.longestPrefix(root: id, of: [1], limit: 1).blocks.isEmpty)
        let second = try take(&pool)
        #expect(pool.remember(second, parent: id, tokenIDs: [1], from: 0).block == second)
        try pool.checkIntegrity(tables: [[first, second]])
        pool.release([first, second])
        try pool.checkIntegrity(tables: [])
    }

    @Test func emptyPoolHandsOutNothing() {
        var pool = KVBlockPool(blockCount: 1, positionsPerBlock: 2)
        #expect(pool.allocate() == 0)
        #expect(pool.allocate() == nil)
    }
}
