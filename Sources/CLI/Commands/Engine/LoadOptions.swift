import ArgumentParser
import Glibc
import LoadGenerator

/// What a server speaks, as `--api` names it.
enum LoadInterface: String, ExpressibleByArgument, CaseIterable {
    case lorax, openai, chat, llama

    var wire: LoadAPI {
        switch self {
        case .lorax: .lorax
        case .openai: .openai
        case .chat: .chat
        case .llama: .llama
        }
    }
}

/// Where a load goes.
struct LoadServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server, such as http://127.0.0.1:8080.", valueName: "url"))
    var url: String

    @Option(help: "What it speaks: lorax (/generate_stream), openai (/v1/completions), chat or llama (llama.cpp).")
    var api = LoadInterface.lorax

    @Option(help: ArgumentHelp("The base model's name, for openai and chat (default: ask).", valueName: "name"))
    var model: String?

    @Option(help: ArgumentHelp("A header to send, such as \"Authorization: Bearer x\".", valueName: "name: value"))
    var header: [String] = []

    @Option(help: ArgumentHelp("Give a request up after so long.", valueName: "seconds"))
    var timeout = 120.0

    func validate() throws {
        guard (0.001...86_400).contains(timeout) else {
            throw ValidationError("--timeout \(timeout): expected 0.001 to 86400 seconds")
        }
    }

    func target() throws -> LoadTarget {
        try LoadTarget(url: url, headers: header, timeoutSeconds: timeout)
    }
}

/// What a load is like, its adapters aside.
struct LoadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Requests in flight (default: 1; with --rate the most there may be).", valueName: "count"))
    var concurrency: Int?

    @Option(help: ArgumentHelp("Requests a second, at random moments.", valueName: "number"))
    var rate: Double?

    @Option(help: ArgumentHelp("Requests in all (default: 100, without --duration).", valueName: "count"))
    var requests: Int?

    @Option(help: ArgumentHelp("Start none after so long.", valueName: "seconds"))
    var duration: Double?

    @Option(help: ArgumentHelp("Tokens of a prompt.", valueName: "length"))
    var promptTokens = "128"

    @Option(help: ArgumentHelp("Tokens of an answer.", valueName: "length"))
    var outputTokens = "64"

    @Option(help: ArgumentHelp("Tokens at the start that are the same in all prompts.", valueName: "count"))
    var sharedPrefixTokens = 0

    @Flag(help: "Let answers end where the model ends them.")
    var stopAtEnd = false

    @Option(help: ArgumentHelp("Requests to send before, unmeasured, one adapter after another.", valueName: "count"))
    var warmup = 0

    @Option(
        help: ArgumentHelp("Decides prompts, lengths and adapters (default: another each time).", valueName: "number"))
    var seed: UInt64?

    func validate() throws {
        func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw ValidationError("--\(name) \(value): expected \(range.lowerBound) to \(range.upperBound)")
        }
        try check("concurrency", concurrency, 1...LoadLimits.maximumConcurrency)
        try check("requests", requests, 1...10_000_000)
        try check("warmup", warmup, 0...1_000_000)
        try check("shared-prefix-tokens", sharedPrefixTokens, 0...LengthDistribution.maximum)
        if let rate, !(rate >= 0.001 && rate <= 100_000) {
            throw ValidationError("--rate \(rate): expected 0.001 to 100000 requests a second")
        }
        if let duration, !(duration >= 0.001 && duration <= 604_800) {
            throw ValidationError("--duration \(duration): expected 0.001 to 604800 seconds")
        }
    }

    var limits: LoadLimits {
        LoadLimits(
            concurrency: concurrency ?? (rate == nil ? 1 : 1024),
            requestCount: requests ?? (duration == nil ? 100 : nil), seconds: duration)
    }

    func workload() throws -> Workload {
        // Without a seed another run must not meet the prompts of this one in a server's cache. JSON keeps 53 bits.
        var workload = Workload(seed: seed ?? UInt64.random(in: 0..<(1 << 48)))
        workload.promptTokens = try LengthDistribution(promptTokens) { try InputText.content(of: $0) }
        workload.outputTokens = try LengthDistribution(outputTokens) { try InputText.content(of: $0) }
        workload.rate = rate
        return workload
    }
}

/// Which adapters a load asks for.
struct LoadAdapterOptions: ParsableArguments {
    @Option(name: .customLong("adapters"), help: ArgumentHelp("How many; 0 asks the base model.", valueName: "count"))
    var count = 0

    @Option(help: ArgumentHelp("identical, uniform, zipf, zipf:EXPONENT or distinct.", valueName: "kind"))
    var popularity = "distinct"

    @Option(
        name: .customLong("adapter-ids"),
        help: ArgumentHelp("Their ids.", valueName: "id,id"))
    var idList: String?

    @Option(
        name: .customLong("adapter-prefix"),
        help: ArgumentHelp("Ids are this and a number from 0.", valueName: "text"))
    var prefix: String?

    @Option(
        name: .customLong("adapter-root"),
        help: ArgumentHelp("Ids are the names of the folders in this one, sorted.", valueName: "folder"),
        completion: .directory)
    var root: String?

    @Option(
        name: .customLong("adapter-source"),
        help: ArgumentHelp("Where the server is to look: local, hub or pbase.", valueName: "source"))
    var source: String?

    func validate() throws {
        guard (0...100_000).contains(count) else {
            throw ValidationError("--adapters \(count): expected 0 to 100000")
        }
        guard [idList, prefix, root].count(where: { $0 != nil }) <= 1 else {
            throw ValidationError("--adapter-ids, --adapter-prefix and --adapter-root: give one of them")
        }
        if let source, !["local", "hub", "pbase", "s3"].contains(source) {
            throw ValidationError("--adapter-source \(source): expected local, hub or pbase")
        }
    }

    func loadPopularity() throws -> AdapterPopularity { try AdapterPopularity(popularity) }

    /// The first ``count`` ids, or nil where the server is to be asked.
    func ids() throws -> [String]? {
        let (all, name): ([String], String)
        if let idList {
            all = idList.split(separator: ",").map(String.init)
            name = "--adapter-ids"
        } else if let prefix {
            all = (0..<count).map { "\(prefix)\($0)" }
            name = "--adapter-prefix"
        } else if let root {
            all = try Self.folders(in: root)
            name = "--adapter-root \(root)"
        } else {
            return nil
        }
        guard all.count >= count else {
            throw CommandFailure.usage("--adapters \(count): \(name) has \(all.count) of them")
        }
        return Array(all.prefix(count))
    }

    private static func folders(in root: String) throws -> [String] {
        guard let stream = opendir(root) else {
            throw CommandFailure.usage("--adapter-root \(root): \(String(cString: strerror(errno)))")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix("."), access("\(root)/\(name)/adapter_config.json", F_OK) == 0 { names.append(name) }
        }
        return names.sorted()
    }
}
