import HTTPTypes
package import NIOCore
package import NIOHTTPTypes

/// Watches one connection: tells requests when the client goes, closes it when the client is too slow, answers
/// `Expect: 100-continue`, and sends comments into event streams that are silent. Lives on the connection's event loop.
package final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPRequestPart
    package typealias InboundOut = HTTPRequestPart
    package typealias OutboundIn = HTTPResponsePart
    package typealias OutboundOut = HTTPResponsePart

    package let presence = ClientPresence()
    private let timeouts: ConnectionTimeouts
    private let connections: OpenConnections
    private var id: Int?
    private var isDraining = false
    private var requestDeadline: Scheduled<Void>?
    private var writeDeadline: Scheduled<Void>?
    private var keepAlive: RepeatedTask?
    private var wroteLately = false
    /// Requests that began to arrive and whose answers have not ended.
    private var answersDue = 0
    /// Whether the last of them waits to be told to go on.
    private var isContinueDue = false
    /// Ends of answers that are still to be sent, and who wants to close the connection meanwhile.
    private var endsUnsent = 0
    private var closers: [(mode: CloseMode, promise: EventLoopPromise<Void>?)] = []

    /// A handler for one connection.
    package init(timeouts: ConnectionTimeouts, connections: OpenConnections = OpenConnections()) {
        self.timeouts = timeouts
        self.connections = connections
    }

    /// Bytes that the system takes for a client that does not read. Left to itself it takes megabytes, hours of a
    /// stream of tokens, before anybody sees that the client reads no more.
    private static let sendBufferBytes = 128 << 10

    package func handlerAdded(context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.socketOption(.so_sndbuf), value: Self.sendBufferBytes)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        id = connections.enter { order in
            loop.execute {
                let (handler, context) = bound.value
                // The order may come when the handler has gone, and its context with it.
                guard handler.id != nil else { return }
                switch order {
                case .hurry: handler.hurry(context)
                case .close: context.close(promise: nil)
                }
            }
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            answersDue += 1
            requestDeadline = scheduleClose(context, in: isDraining ? timeouts.drainingRequest : timeouts.request)
            isContinueDue = head.headerFields[.expect]?.lowercased() == "100-continue"
            sendContinue(context)
        case .body: break
        case .end: cancel(&requestDeadline)
        }
        context.fireChannelRead(data)
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { presence.leave() }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { end() }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is IOError { presence.leave() }
        context.fireErrorCaught(error)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        cancel(&writeDeadline)
        if !context.channel.isWritable { watchWrites(context) }
        context.fireChannelWritabilityChanged()
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.headerFields[.contentType] == "text/event-stream" { startKeepAlive(context) }
        case .body: wroteLately = true
        case .end:
            keepAlive?.cancel()
            keepAlive = nil
            return writeEnd(context, data, promise)
        }
        context.write(data, promise: promise)
    }

    /// Closes the connection once the ends of its answers are sent: what the client has not read yet is not lost.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard endsUnsent > 0, mode != .input else { return context.close(mode: mode, promise: promise) }
        closers.append((mode, promise))
    }

    // MARK: Answers

    private func writeEnd(_ context: ChannelHandlerContext, _ data: NIOAny, _ promise: EventLoopPromise<Void>?) {
        endsUnsent += 1
        let sent = promise ?? context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        sent.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.endsUnsent -= 1
            guard handler.endsUnsent == 0 else { return }
            let closers = handler.closers
            handler.closers = []
            for (mode, promise) in closers { context.close(mode: mode, promise: promise) }
        }
        context.write(data, promise: sent)
        answersDue -= 1
        sendContinue(context)
    }

    /// Tells a client to send its body, once the answers before are out.
    private func sendContinue(_ context: ChannelHandlerContext) {
        guard isContinueDue, answersDue == 1 else { return }
        isContinueDue = false
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }

    private func startKeepAlive(_ context: ChannelHandlerContext) {
        wroteLately = true
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let delay = TimeAmount(timeouts.keepAlive)
        keepAlive = context.eventLoop.scheduleRepeatedTask(initialDelay: delay, delay: delay) { _ in
            let (handler, context) = bound.value
            handler.keepAwake(context)
        }
    }

    private func keepAwake(_ context: ChannelHandlerContext) {
        defer { wroteLately = false }
        guard !wroteLately, context.channel.isWritable else { return }
        context.writeAndFlush(wrapOutboundOut(.body(ByteBuffer(string: ":\n\n"))), promise: nil)
    }

    // MARK: Deadlines

    /// The server stops: who is slow gets less time from now on.
    private func hurry(_ context: ChannelHandlerContext) {
        isDraining = true
        if requestDeadline != nil {
            cancel(&requestDeadline)
            requestDeadline = scheduleClose(context, in: timeouts.drainingRequest)
        }
        if writeDeadline != nil {
            cancel(&writeDeadline)
            watchWrites(context)
        }
    }

    /// Closes the connection when a client takes nothing at all of what waits for it.
    private func watchWrites(_ context: ChannelHandlerContext) {
        let waiting = Self.waitingByteCount(context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let delay = TimeAmount(isDraining ? timeouts.drainingWrite : timeouts.stalledWrite)
        writeDeadline = context.eventLoop.scheduleTask(in: delay) {
            let (handler, context) = bound.value
            guard Self.waitingByteCount(context) < waiting else { return context.close(promise: nil) }
            handler.watchWrites(context)
        }
    }

    private static func waitingByteCount(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    private func scheduleClose(_ context: ChannelHandlerContext, in delay: Duration) -> Scheduled<Void> {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: TimeAmount(delay)) { bound.value.close(promise: nil) }
    }

    private func cancel(_ task: inout Scheduled<Void>?) {
        task?.cancel()
        task = nil
    }

    private func end() {
        if let id { connections.leave(id) }
        id = nil
        cancel(&requestDeadline)
        cancel(&writeDeadline)
        keepAlive?.cancel()
        keepAlive = nil
        presence.leave()
    }
}
