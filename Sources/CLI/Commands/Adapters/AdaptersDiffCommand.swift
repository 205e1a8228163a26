import ArgumentParser
import ModelHub
import ServingAdapters
import ServingJSON
import Terminal

/// `pbctl adapters diff`
struct AdaptersDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Say in what two adapters differ: config fields and tensors.",
        discussion: """
            A tensor's line has the norm of the difference and its share of the first adapter's norm.

            EXAMPLES:
              pbctl adapters diff tone/1 tone/2
              pbctl adapters diff ./before ./after -o json
            """)

    @Argument(help: "A PEFT folder, name[/version], or hf:owner/name[@revision].", completion: .directory)
    var first: String

    @Argument(help: "The adapter to compare it with.", completion: .directory)
    var second: String

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let left = try AdapterFolder(path: await AdapterOptions.location(of: first).folder)
        let right = try AdapterFolder(path: await AdapterOptions.location(of: second).folder)
        let difference = try AdapterDifference(left, right)
        switch output {
        case .json: try TextOutput.standard.writeLine(difference.json.text(style: .pretty))
        case .text: try TextOutput.standard.write(difference.text)
        }
    }
}

extension AdapterDifference {
    /// One line a difference; empty where there is none.
    var text: String {
        var table = TextTable([])
        for field in fields {
            table.add([field.name, "\(field.first?.text() ?? "-") -> \(field.second?.text() ?? "-")".onOneLine])
        }
        for tensor in tensors {
            let forms = [tensor.firstForm, tensor.secondForm].map { $0 ?? "-" }
            let form = forms[0] == forms[1] ? forms[0] : forms.joined(separator: " -> ")
            table.add([tensor.name.onOneLine, form + (tensor.norms.map { ", " + $0 } ?? "")])
        }
        let lines = String(table.text.drop(while: \.isNewline))
        let rest = "\(equalTensorCount) \(equalTensorCount == 1 ? "tensor is" : "tensors are") equal\n"
        return lines + (isEmpty ? "no difference: " : "") + rest
    }

    /// The same for scripts.
    var json: JSONValue {
        let fields = fields.map { field in
            JSONValue.object(
                JSONObject([
                    ("field", .string(field.name)), ("first", field.first ?? .null), ("second", field.second ?? .null),
                ]))
        }
        let tensors = tensors.map { tensor in
            var object = JSONObject([("tensor", .string(tensor.name))])
            object["first"] = tensor.firstForm.map { .string($0) } ?? .null
            object["second"] = tensor.secondForm.map { .string($0) } ?? .null
            object["difference_norm"] = tensor.differenceNorm.map { $0.isFinite ? .number($0) : .null }
            object["first_norm"] = tensor.firstNorm.map { $0.isFinite ? .number($0) : .null }
            return JSONValue.object(object)
        }
        return .object(
            JSONObject([
                ("config", .array(fields)), ("tensors", .array(tensors)),
                ("equal_tensor_count", .integer(Int64(equalTensorCount))),
            ]))
    }
}

extension AdapterDifference.Tensor {
    fileprivate var norms: String? {
        guard let differenceNorm, let firstNorm else { return nil }
        let share = firstNorm > 0 ? " (\((100 * differenceNorm / firstNorm).formatted(decimals: 1)) %)" : ""
        return "differs by \(differenceNorm.formatted(decimals: 6))\(share)"
    }
}
