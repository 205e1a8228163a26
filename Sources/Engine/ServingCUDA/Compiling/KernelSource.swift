/// The kernels' sources, embedded in the program.
enum KernelSource: String, CaseIterable, Sendable {
    case rows
    case rotary = "rope_kv"
    case attention = "attend"
    case adapters = "lora"
    case sampling = "sample"
    case products

    /// What the compiler gets.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The header that all of them include, by the name `device.cuh`.
    static var header: String { String(decoding: PackageResources.device_cuh, as: UTF8.self) }

    private var bytes: [UInt8] {
        switch self {
        case .rows: PackageResources.rows_cu
        case .rotary: PackageResources.rope_kv_cu
        case .attention: PackageResources.attend_cu
        case .adapters: PackageResources.lora_cu
        case .sampling: PackageResources.sample_cu
        case .products: PackageResources.products_cu
        }
    }
}
