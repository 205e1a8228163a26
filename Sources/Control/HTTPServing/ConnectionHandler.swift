import HTTPTypes
package import NIOCore
package import NIOHTTPTypes

/// Watches one connection: tells requests when the client goes, closes it when the client is too slow, and sends
/// comments into event streams that are silent. Lives on the connection's event loop.
package final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPRequestPart
    package typealias InboundOut = HTTPRequestPart
    package typealias OutboundIn = HTTPResponsePart
    package typealias OutboundOut = HTTPResponsePart

    package let presence = ClientPresence()
    private let timeouts: ConnectionTimeouts
    private var requestDeadline: Scheduled<Void>?
    private var writeDeadline: Scheduled<Void>?
    private var keepAlive: RepeatedTask?
    private var wroteLately = false

    /// A handler for one connection.
    package init(timeouts: ConnectionTimeouts) { self.timeouts = timeouts }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: requestDeadline = scheduleClose(context, in: timeouts.request)
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
        endTimers()
        presence.leave()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        endTimers()
        presence.leave()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is IOError { presence.leave() }
        context.fireErrorCaught(error)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        cancel(&writeDeadline)
        if !context.channel.isWritable { writeDeadline = scheduleClose(context, in: timeouts.stalledWrite) }
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
        }
        context.write(data, promise: promise)
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

    private func scheduleClose(_ context: ChannelHandlerContext, in delay: Duration) -> Scheduled<Void> {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: TimeAmount(delay)) { bound.value.close(promise: nil) }
    }

    private func cancel(_ task: inout Scheduled<Void>?) {
        task?.cancel()
        task = nil
    }

    private func endTimers() {
        cancel(&requestDeadline)
        cancel(&writeDeadline)
        keepAlive?.cancel()
        keepAlive = nil
    }
}
