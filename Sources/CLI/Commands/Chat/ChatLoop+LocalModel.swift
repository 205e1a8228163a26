import ServingRuntime

extension ChatLoop {
    /// A conversation with a model in this process.
    /// - Parameters:
    ///   - adapter: what the model answers with, or nil.
    ///   - system: system message, or nil.
    ///   - console: where lines come from and answers go.
    ///   - loadModel: loads what `/model` names.
    init(
        model: LocalModel, adapter: AdapterLease? = nil, settings: ChatSettings = ChatSettings(), system: String? = nil,
        console: ChatConsole,
        loadModel: @escaping @Sendable (String) throws -> LocalModel
    ) throws {
        self.init(
            answerer: try LocalAnswerer(model, adapter: adapter), settings: settings, system: system, console: console,
            loadModel: { try LocalAnswerer(try loadModel($0)) })
    }
}
