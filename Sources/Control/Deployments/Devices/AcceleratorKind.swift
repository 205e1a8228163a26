/// The kind of device that a config asks for: `cpu`, `gpu`, or a model of GPU as Predibase's SKUs write it
/// (`a100_80gb_100`: name, memory, share of the GPU in percent) or as its maker does (`H100`).
struct AcceleratorKind: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case cpu
        /// A GPU whose name has all of these words, and at least so much memory. No words: any.
        case gpu(words: [String], leastGigabytes: Int)
    }

    let kind: Kind

    init(_ text: String) {
        let text = text.lowercased()
        switch text {
        case "cpu": kind = .cpu
        case "gpu", "cuda": kind = .gpu(words: [], leastGigabytes: 0)
        default:
            var (words, gigabytes) = ([String](), 0)
            for word in Self.words(text) {
                if word.hasSuffix("gb"), let number = Int(word.dropLast(2)), (1...10_000).contains(number) {
                    gigabytes = number
                } else if gigabytes == 0 || Int(word) == nil {
                    words.append(word)
                }
            }
            kind = .gpu(words: words, leastGigabytes: gigabytes)
        }
    }

    /// Whether a GPU is of the kind.
    func includes(_ gpu: MachineGPU) -> Bool {
        guard case .gpu(let words, let gigabytes) = kind else { return false }
        let names = Self.words(gpu.name.lowercased())
        // Firmware and error correction keep some of the memory that a GPU is sold with.
        return gpu.memoryBytes / 1_000_000_000 >= gigabytes * 9 / 10
            && words.allSatisfy { word in names.contains { Self.isVariant($0, of: word) } }
    }

    /// `a10g` is an `a10`, `l40s` an `l40`; `a100` is no `a10`.
    private static func isVariant(_ name: String, of word: String) -> Bool {
        name == word || name.dropLast() == word && name.last?.isLetter == true
    }

    private static func words(_ text: String) -> [String] {
        text.split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }
}
