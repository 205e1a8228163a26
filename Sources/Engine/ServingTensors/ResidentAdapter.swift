/// An adapter's weights on the device that runs its model: what a sequence of a batch is computed with. Opaque to the
/// engine; made by the backend's side of the same model and understood there. Two adapters are the same when they are
/// the same object.
public protocol ResidentAdapter: AnyObject, Sendable {
    /// Bytes it takes on the device.
    var byteCount: Int { get }
}
