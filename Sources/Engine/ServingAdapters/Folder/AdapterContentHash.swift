import CServingAdapters

/// 128 bits that stand for an adapter's content: the same files give the same hash on every machine.
///
/// Made by folded 64-bit multiplication (after wyhash), at several GB/s. It tells versions of an adapter apart; it is
/// no proof against somebody who makes two contents collide on purpose.
public struct AdapterContentHash: Sendable, Hashable, CustomStringConvertible {
    let high: UInt64
    let low: UInt64

    /// The hash of some files' bytes, in order.
    init(_ files: [UnsafeRawBufferPointer]) {
        var state: (UInt64, UInt64) = (0, 0)
        for bytes in files {
            withUnsafeMutableBytes(of: &state) { state in
                sa_digest(
                    bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count,
                    state.bindMemory(to: UInt64.self).baseAddress)
            }
        }
        (high, low) = state
    }

    /// 32 hexadecimal digits.
    public var description: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
