import AsyncHTTPClient
import Deployments
import HTTPServing
import NIOCore
import NIOHTTP1
import ServingJSON

/// A request that is to be answered by a replica of a deployment: what it takes to send it, however often that is
/// needed.
struct GatewayJob: Sendable {
    let service: GatewayService
    let dispatch: DeploymentDispatch
    let call: ReplicaCall
    let demand: DispatchStateMachine.Demand
    /// The part of the demand that is done once the first token is here.
    let promptTokenCount: Int
    let record: GatewayRecord
    let requestID: String
    let form: GatewayEndpoint.Form
    /// How long it may wait for a replica each time that it needs one.
    let timeout: Duration
    /// What answers give as `model`, in JSON; nil leaves what the replica gives.
    let model: [UInt8]?
    /// Makes sampling come out the same on another replica; nil for requests that generate nothing.
    let seed: Int64?

    /// An answer: whole, or the beginning of a stream.
    struct Answer: Sendable {
        enum Body: Sendable {
            case whole(ByteBuffer)
            case events(HTTPClientResponse.Body, ReplicaLease)
        }

        var status: Int
        var headers: HTTPHeaders
        var body: Body
    }

    var name: DeploymentName { dispatch.name }

    /// Gets an answer from a replica, from another one where the first refuses or breaks off before the answer or the
    /// head of a stream is here.
    ///
    /// - Parameters:
    ///   - journal: what the client has of the stream that is to be carried on.
    ///   - ticket: told the request's place while it waits.
    func answer(
        carryingOn journal: StreamJournal? = nil, ticket: QueueTicket? = nil
    ) async throws(GatewayError) -> Answer {
        var budget = TryBudget(service.configuration)
        var deadline = ContinuousClock.now + timeout
        var isReturning = journal != nil
        var refusal: Answer?
        let extra = extra(journal)
        while true {
            let lease = try await lease(until: deadline, isReturning, ticket, refusal)
            guard let lease else {
                // Only with an answer at hand does a wait end without a lease.
                if let refusal { return refusal }
                throw .replicaRefused(name, "no answer")
            }
            let failure: ReplicaFailure
            do throws(ReplicaFailure) {
                let answer = try await send(to: lease, extra)
                guard let reason = answer.refusalReason else {
                    if case .whole = answer.body { lease.end(.answered) }
                    return answer
                }
                refusal = answer
                failure = answer.status == 429 ? .full : .refused(reason)
            } catch {
                failure = error
            }
            if failure == .cancelled {
                throw GatewayError(.left, name, condition: nil, timeout: timeout)
            }
            service.lose(lease, name, failure)
            guard budget.allowsAnother(after: failure) else {
                if let refusal { return refusal }
                throw failure.error(name)
            }
            service.metrics.retried(name)
            isReturning = true
            if case .broken = failure {
                refusal = nil
                deadline = .now + timeout
            }
        }
    }

    /// A place at a replica; nil where the time is over and a replica's refusal can be given instead.
    private func lease(
        until deadline: ContinuousClock.Instant, _ isReturning: Bool, _ ticket: QueueTicket?, _ refusal: Answer?
    ) async throws(GatewayError) -> ReplicaLease? {
        let start = ContinuousClock.now
        do throws(DispatchStateMachine.Refusal) {
            let lease = try await dispatch.acquire(demand, until: deadline, isReturning: isReturning, ticket: ticket)
            record.wait(.now - start)
            return lease
        } catch {
            record.wait(.now - start)
            if error == .deadline, refusal != nil { return nil }
            throw GatewayError(error, name, condition: dispatch.route?.condition, timeout: timeout)
        }
    }

    private func send(to lease: ReplicaLease, _ extra: [UInt8]?) async throws(ReplicaFailure) -> Answer {
        record.send()
        let response = try await service.client.send(call, pbctl: extra, to: lease.replica.endpoint)
        var answer = Answer(
            status: Int(response.status.code), headers: response.headers, body: .events(response.body, lease))
        let isStream = response.headers.first(name: "content-type")?.hasPrefix("text/event-stream") ?? false
        if isStream, answer.status == 200 { return answer }
        do {
            answer.body = .whole(try await response.body.collect(upTo: service.configuration.maxAnswerBytes))
        } catch {
            throw ReplicaFailure(error)
        }
        return answer
    }

    /// The value of the body's `pbctl`.
    private func extra(_ journal: StreamJournal?) -> [UInt8]? {
        guard let seed else { return nil }
        let resume = journal?.resume
        var json = JSONBytes(capacity: 48 + (resume?.bytes.count ?? 0))
        json.openObject()
        json.member("seed", seed)
        if let resume {
            json.key("resume")
            json.raw(resume.bytes)
        }
        json.closeObject()
        return json.bytes
    }
}

extension GatewayJob.Answer {
    /// Why a replica did not take the request, where its answer says so and another replica, or the same one later, may
    /// take it.
    fileprivate var refusalReason: String? {
        guard status == 429 || status == 503, case .whole(let bytes) = body else { return nil }
        if status == 429 { return "it is full" }
        let json = bytes.withUnsafeReadableBytes { try? JSONValue(parsing: $0) }
        if json?["error"]?["code"]?.stringValue == "adapter_unavailable" { return nil }
        return json?["status"]?.stringValue.map { "it is \($0)" } ?? "it is not available"
    }
}

extension ReplicaFailure {
    fileprivate func error(_ name: DeploymentName) -> GatewayError {
        switch self {
        case .refused, .full: .replicaRefused(name, reason)
        default: .replicaLost(name, reason)
        }
    }
}

/// How often one request may be sent.
struct TryBudget: Sendable {
    private var triesLeft: Int
    private var refusalsLeft: Int

    init(_ configuration: GatewayConfiguration) {
        triesLeft = configuration.maxTries
        refusalsLeft = configuration.maxRefusals
    }

    /// Whether it may be sent once more after this.
    mutating func allowsAnother(after failure: ReplicaFailure) -> Bool {
        switch failure {
        case .refused, .full:
            refusalsLeft -= 1
            return refusalsLeft > 0
        case .broken:
            triesLeft -= 1
            return triesLeft > 0
        case .unusable, .cancelled: return false
        }
    }
}

/// How often one stream may be carried on.
struct ResumptionBudget: Sendable {
    private let limit: Int
    private var count = 0
    private var fruitlessCount = 0
    private var lastProgress = -1

    init(_ configuration: GatewayConfiguration) { limit = configuration.maxResumptions }

    /// Whether a stream that has got so far may be carried on once more. Not where it got nowhere twice.
    mutating func allowsAnother(progress: Int) -> Bool {
        count += 1
        fruitlessCount = progress == lastProgress ? fruitlessCount + 1 : 0
        lastProgress = progress
        return count <= limit && fruitlessCount < 2
    }
}
