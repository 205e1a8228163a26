import Glibc

/// Zeroed pages straight from the system, resident only once touched, in huge pages where the system has them: weights
/// and caches are read in long strides, which costs many address translations in small pages.
final class PageMemory {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let mapping: UnsafeMutableRawPointer
    private let mappingByteCount: Int

    private static let hugePageBytes = 2 << 20

    init(byteCount: Int, purpose: String) throws(CPUBackendError) {
        let huge = PageMemory.hugePageBytes
        guard byteCount >= 0, byteCount < Int.max - 2 * huge else { throw .tooLarge(purpose: purpose) }
        // Small regions need no alignment beyond a page; large ones start at a huge page.
        let slack = byteCount >= huge ? huge : 0
        let length = max(byteCount, 1) + slack
        guard
            let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            start != MAP_FAILED
        else { throw .outOfMemory(purpose: purpose, bytes: byteCount) }
        mapping = start
        mappingByteCount = length
        self.byteCount = byteCount
        if slack > 0 {
            let offset = (huge - Int(bitPattern: start) % huge) % huge
            base = start + offset
            madvise(base, byteCount, MADV_HUGEPAGE)
        } else {
            base = start
        }
    }

    deinit {
        munmap(mapping, mappingByteCount)
    }
}

/// Hands out parts of large regions, so that many small matrices share huge pages. A region lives as long as any part.
struct PageArena {
    private var region: PageMemory?
    private var used = 0

    private static let regionBytes = 64 << 20

    /// Room for `byteCount` bytes, 64-byte aligned, and the region it lies in.
    mutating func allocate(
        _ byteCount: Int, purpose: String
    ) throws(CPUBackendError) -> (pointer: UnsafeMutableRawPointer, owner: PageMemory) {
        if let region, used <= region.byteCount, region.byteCount - used >= byteCount {
            defer { used += (byteCount + 63) / 64 * 64 }
            return (region.base + used, region)
        }
        let fresh = try PageMemory(byteCount: max(byteCount, PageArena.regionBytes), purpose: purpose)
        if byteCount < PageArena.regionBytes / 2 {
            region = fresh
            used = (byteCount + 63) / 64 * 64
        }
        return (fresh.base, fresh)
    }
}
