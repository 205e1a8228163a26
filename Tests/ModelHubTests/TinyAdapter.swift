import Glibc

@testable import ModelHub

/// The files of an adapter of rank 2 on one module, small and whole.
enum TinyAdapter {
    static func config(base: String = "acme/tiny") -> [UInt8] {
        Array(
            #"{"peft_type":"LORA","base_model_name_or_path":"\#(base)","r":2,"lora_alpha":4,"target_modules":["q_proj"]}"#
                .utf8)
    }

    /// A safetensors file with loraA (2, 4) and loraB (4, 2), all elements of one value.
    static func weights(_ value: Float = 0.5) -> [UInt8] {
        let prefix = "base_model.model.model.layers.0.self_attn.q_proj"
        let header =
            #"{"\#(prefix).lora_A.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"#
            + #""\#(prefix).lora_B.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[32,64]}}"#
        let length = UInt64(header.utf8.count)
        let values = (0..<16).flatMap { _ in bytes(UInt64(value.bitPattern), 4) }
        return bytes(length, 8) + Array(header.utf8) + values
    }

    private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    static func write(to folder: String, value: Float = 0.5, base: String = "acme/tiny") throws {
        try FileSystem.makeDirectories(folder)
        try FileSystem.writeAtomically(config(base: base), to: folder + "/adapter_config.json")
        try FileSystem.writeAtomically(weights(value), to: folder + "/adapter_model.safetensors")
    }

    static func hubFiles(value: Float = 0.5) -> [LoopbackHub.File] {
        [
            LoopbackHub.File(path: "adapter_config.json", content: config(), isLarge: false),
            LoopbackHub.File(path: "adapter_model.safetensors", content: weights(value)),
        ]
    }
}
