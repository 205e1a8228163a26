/// Limits and times of the gateway.
package struct GatewayConfiguration: Sendable {
    /// Requests at a replica, requests that wait, and how long a failing replica is left alone.
    package var dispatch = DispatchStateMachine.Limits()
    /// How long a request may wait for a replica. Clients may ask for less with `x-pbctl-queue-timeout`.
    package var queueTimeout = Duration.seconds(600)
    /// Requests of all deployments, waiting ones among them.
    package var maxConcurrentRequests = 20_000
    /// Bytes of a request's body.
    package var maxBodyBytes = 2 << 20
    /// Deepest nesting of a body's JSON.
    package var maxBodyDepth = 128
    /// Bytes of an answer that is sent in one piece.
    package var maxAnswerBytes = 256 << 20
    /// Bytes of one event of a stream.
    package var maxFrameBytes = 8 << 20
    /// How long a connection to a replica may take.
    package var connectTimeout = Duration.seconds(2)
    /// Times that one request is sent to a replica which takes it and breaks off before anything was given to the
    /// client.
    package var maxTries = 3
    /// Times that one request may be refused by replicas: no connection, loading, draining, full.
    package var maxRefusals = 10
    /// Times that one stream may lose its replica.
    package var maxResumptions = 5
    /// Whether `Authorization` goes on to replicas, for hubs that adapters are fetched from. Off where it holds this
    /// server's key.
    package var passesAuthorization = true
    /// Between comments on a request that waits, for clients that ask for them with `x-pbctl-progress`.
    package var progressInterval = Duration.seconds(1)
    /// How long what replicas say of their adapters is believed.
    package var catalogLifetime = Duration.seconds(10)

    package init() {}
}
