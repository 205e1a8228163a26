import CServingKernels
public import ServingTensors

/// Packs adapters on whichever thread asks.
///
/// `@unchecked Sendable`: the table of kernels is a constant.
public struct CPUUploader: AdapterUploading, @unchecked Sendable {
    let kernels: OpaquePointer
    let usesFloat32Weights: Bool

    /// Copies an adapter into memory of its own.
    public func upload(_ parts: AdapterParts) throws -> any ResidentAdapter {
        try CPUAdapter(parts, kernels: kernels, usesFloat32Weights: usesFloat32Weights)
    }

    /// Bytes that the copy takes.
    public func byteCount(of parts: AdapterParts) -> Int {
        CPUAdapter.byteCount(of: parts, usesFloat32Weights: usesFloat32Weights)
    }
}
