import ControlAPI
import Deployments
import ServingJSON
import Testing

@testable import Commands

@Suite struct DeploymentTextTests {
    private let now = DeploymentFixtures.moment + .seconds(3 * 3600 + 120)

    @Test func theTableOfAllDeployments() {
        var busy = DeploymentFixtures.view()
        (busy.currentReplicas, busy.desiredReplicas) = (1, 2)
        busy.figures = DeploymentFixtures.figures()
        let text = StatusTable([busy, DeploymentFixtures.view(.standby, name: "asleep-for-long")], now: now).text
        #expect(
            text == """
                NAME             STATUS   READY  MODEL   RPS   TOK/S  P95     AGE
                demo             ready    1/2    m.gguf  1.25  123    1.50 s  3h2m
                asleep-for-long  standby  0/0    m.gguf  -     -      -       3h2m

                """)
    }

    @Test func thePageOfOneDeployment() {
        var view = DeploymentFixtures.view()
        (view.currentReplicas, view.desiredReplicas, view.revision) = (1, 2, 2)
        var loading = DeploymentFixtures.replica("demo-b", "loading")
        loading.percent = 40
        view.replicas = [DeploymentFixtures.replica("demo-a", "ready", isOutdated: true), loading]
        view.load = LoadView(running: 3, queued: 1)
        view.figures = DeploymentFixtures.figures()
        let event = EventView.fixture("ReplicaCrashed", "demo-c ended\nwith status 1", .warning)
        let page = StatusPage(view: view, events: [event], now: now, isColored: false)
        #expect(
            page.text == """
                demo  ready  Reason: a message
                  model     /models/m.gguf
                  replicas  1 ready, 2 wanted (autoscaler, 0 to 1)
                  load      3 running, 1 queued
                  revision  2, changed 3h2m ago, made 3h2m ago
                  endpoint  http://h:1/deployments/demo/v1

                REPLICA  PHASE         DEVICE  BUSY           REVISION  REQUESTS  AGE   ENDPOINT        MESSAGE
                demo-a   ready         cuda:1  50 %, 12.3 GB  2 (old)   0         3h1m  127.0.0.1:4000  \("")
                demo-b   loading 40 %  -       -              2         0         3h1m  -               \("")

                LAST MINUTE
                  1.25 requests/s · 123 tokens/s · 2.00 replicas · utilization 50 %
                  inference 800 ms (p95 1.50 s) · queue 4.0 ms (p95 20 ms)
                  first token 50 ms (p95 90 ms) · between tokens - · 75 success

                EVENTS
                  3h2m ago  ! ReplicaCrashed  demo-c ended with status 1

                Next: pbctl prompt demo "Hello"

                """)
    }

    @Test(arguments: DeploymentStatus.allCases) func everyStatusHasANextStep(_ status: DeploymentStatus) {
        let page = StatusPage(view: DeploymentFixtures.view(status), events: [], now: now, isColored: false)
        #expect(page.text.contains("\nNext: ") && page.text.hasPrefix("demo  \(status.rawValue)  Reason: a message\n"))
        #expect(!page.text.contains("\u{1B}"))
    }

    @Test func scalingSaysBeforeAndAfterAndWhoDecides() {
        var view = DeploymentFixtures.view()
        (view.replicasBefore, view.desiredReplicas, view.pinnedReplicas, view.currentReplicas) = (1, 3, 3, 1)
        #expect(ScaleCommand.line(view) == "deployment demo scaled: 1 -> 3 wanted, 1 ready (set by hand)")
        view.pinnedReplicas = nil
        #expect(
            ScaleCommand.line(view)
                == "deployment demo scaled: 1 -> 3 wanted, 1 ready (the autoscaler decides, 0 to 1)")
    }

    @Test func metricsAsTableAndCSV() {
        let points = [
            MetricsPointView(at: DeploymentFixtures.moment, figures: DeploymentFixtures.figures()),
            MetricsPointView(at: DeploymentFixtures.moment + .seconds(60), figures: FiguresView()),
        ]
        let lines = MetricsText.csv(points).split(separator: "\n")
        let head = lines[0].split(separator: ",")
        #expect(head.count == 22 && head[5] == "inferenceTime.mean" && head.last == "requests.success")
        #expect(
            lines.count == 3
                && lines.allSatisfy { $0.split(separator: ",", omittingEmptySubsequences: false).count == 22 })
        #expect(lines[1].hasPrefix("2026-11-25T01:02:03.456Z,1.25,123.4,2,0.5,0.8,0.7,1.5,2,0.004"))
        #expect(lines[2] == "2026-11-25T01:03:03.456Z,0,0,0,,,,,,,,,,,,,,,,,,0")
        let table = MetricsText.table(points)
        #expect(table.contains("2026-11-25T01:02:03  1.25  123    800 ms     1.50 s  4.0 ms  20 ms  50 ms"))
    }

    @Test func logLinesNameTheirReplicaOnceThereAreSeveral() {
        var printer = LogPrinter(isJSON: false, showsTime: false, namesReplicas: false, isColored: false)
        func line(_ replica: String, _ text: String) -> LogLineView {
            LogLineView(replica: replica, at: DeploymentFixtures.moment, text: text)
        }
        #expect(printer.text(line("a", "one")) == "one")
        #expect(printer.text(line("b", "two")) == "[b] two")
        #expect(printer.text(line("a", "three")) == "[a] three")
        var timed = LogPrinter(isJSON: false, showsTime: true, namesReplicas: true, isColored: false)
        #expect(timed.text(line("a", "")) == "[a] 2026-11-25T01:02:03.456Z ")
        var json = LogPrinter(isJSON: true, showsTime: false, namesReplicas: false, isColored: false)
        let text = json.text(line("a", "x\n"))
        #expect(
            text.hasPrefix("{\"apiVersion\":\"pbctl/v1\",\"kind\":\"LogLine\",\"replica\":\"a\"")
                && !text.contains("\n"))
    }

    @Test func historyTellsWhatEachRevisionChanged() {
        let first = DeploymentFixtures.view().config
        var second = first
        second["maxReplicas"] = 4
        let revisions = [
            RevisionView(revision: 2, createdAt: now, cause: "updated", config: second, isCurrent: true),
            RevisionView(
                revision: 1, createdAt: DeploymentFixtures.moment, cause: "created", config: first, isCurrent: false),
        ]
        let lines = RolloutHistoryCommand.table(revisions).split(separator: "\n")
        #expect(lines[1] == "2 (now)   2026-11-25T04:04:03.456Z  updated  maxReplicas 1 -> 4")
        #expect(lines[2].hasPrefix("1         2026-11-25T01:02:03.456Z  created"))
    }

    @Test(
        arguments: [
            (0, "0 ms"), (0.000_4, "400 us"), (0.004_2, "4.2 ms"), (0.25, "250 ms"), (1.234, "1.23 s"),
            (59.94, "59.9 s"),
            (125, "2m5s"), (.infinity, "-"), (-1, "-"),
        ] as [(Double, String)]) func timesAreShort(_ seconds: Double, _ text: String)
    {
        #expect(Figures.seconds(seconds) == text)
    }
}

extension EventView {
    static func fixture(_ reason: String, _ message: String, _ severity: DeploymentEvent.Severity) -> EventView {
        guard let name = try? DeploymentName("demo") else { fatalError("demo is a name") }
        return EventView(
            DeploymentEvent(
                deploymentID: "u", deployment: name, at: DeploymentFixtures.moment, severity: severity, reason: reason,
                message: message))
    }
}
