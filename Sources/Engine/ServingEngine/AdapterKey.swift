/// Names the weights that a request runs with, for the prefix cache and for fairness between adapters.
///
/// Opaque to the engine. Two requests share cached keys and values only when their keys are the same bytes, so a key
/// must change when the weights behind an adapter's name change (put the revision or content hash into it). Compared as
/// UTF-8 bytes, because `String` equality takes different spellings of one character as the same.
public struct AdapterKey: Hashable, Sendable, CustomStringConvertible {
    /// The key as given.
    public let name: String

    /// A key.
    public init(_ name: String) { self.name = name }

    /// The key as given.
    public var description: String { name }

    /// Whether both keys are the same bytes.
    public static func == (left: AdapterKey, right: AdapterKey) -> Bool {
        left.name.utf8.elementsEqual(right.name.utf8)
    }

    /// Feeds the key's bytes.
    public func hash(into hasher: inout Hasher) {
        for byte in name.utf8 { hasher.combine(byte) }
    }
}
