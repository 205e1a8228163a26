import Deployments
import Testing

struct LineChartTests {
    private func chart(_ points: [LineChart.Point], isStepped: Bool = false, name: String = "n") -> LineChart {
        LineChart(title: "t", series: [LineChart.Series(name: name, points: points, isStepped: isStepped)])
    }

    @Test func textChartHasItsLineAndItsAxes() {
        let text = chart([LineChart.Point(0, 0), LineChart.Point(60, 10)]).text(width: 30, height: 4)
        #expect(
            text == """
                t: n
                10┤                    ⢀⣀⡠⠤⠒⠒⠉
                  ┤             ⢀⣀⡠⠤⠒⠒⠉⠁
                 5┤      ⢀⣀⠤⠤⠒⠊⠉⠁
                 0┤⣀⠤⠤⠒⠊⠉⠁
                   0                     1 min

                """)
    }

    @Test func steppedLineHoldsItsValue() {
        let text = chart([LineChart.Point(0, 0), LineChart.Point(5, 1), LineChart.Point(10, 1)], isStepped: true)
            .text(width: 24, height: 2)
        #expect(
            text == """
                t: n
                1┤           ⡏⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉
                0┤⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⡇
                  0                 10 s

                """)
    }

    @Test(
        arguments: [
            [], [LineChart.Point(0, 0)], [LineChart.Point(5, -3), LineChart.Point(5, 9)],
            [LineChart.Point(0, .nan), LineChart.Point(1, .infinity), LineChart.Point(.nan, 1)],
            [LineChart.Point(-1e300, 1e300), LineChart.Point(1e300, -1e300)],
            [LineChart.Point(0, 1e-300), LineChart.Point(1, 1e-300)],
            [LineChart.Point(1e14, 1), LineChart.Point(1e14 + 1, 1)],
        ] as [[LineChart.Point]])
    func whateverThePointsAreAChartComesOut(points: [LineChart.Point]) {
        for isStepped in [false, true] {
            let chart = chart(points, isStepped: isStepped)
            for (width, height) in [(0, 0), (80, 10), (.max, .max)] {
                let text = chart.text(width: width, height: height)
                #expect(text.split(separator: "\n").allSatisfy { $0.count <= max(24, width) })
                let svg = chart.svg(width: width, height: height)
                #expect(svg.hasSuffix("</svg>\n") && !svg.contains("nan") && !svg.contains("inf"))
            }
        }
    }

    @Test func textsOfAPictureAreEscaped() {
        var chart = chart([LineChart.Point(0, 1)], name: "<script>alert('x')</script>\u{0}")
        chart.title = "a & \"b\""
        let svg = chart.svg()
        #expect(!svg.contains("<script"))
        #expect(svg.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"))
        #expect(svg.contains("a &amp; &quot;b&quot;") && !svg.contains("\u{0}"))
    }

    @Test func brokenLinesStayBroken() {
        let svg = chart([
            LineChart.Point(0, 1), LineChart.Point(1, 1), LineChart.Point(2, .nan), LineChart.Point(3, 1),
        ]).svg()
        let path = svg.split(separator: "\n").first { $0.contains("class=\"line\"") }
        #expect(path?.filter { $0 == "M" }.count == 2)
    }

    @Test func manyPointsMakeASmallPictureThatKeepsThePeak() {
        var points = (0..<200_000).map { LineChart.Point(Double($0), 1) }
        points[123_456].y = 1000
        let svg = chart(points).svg(width: 600)
        #expect(svg.utf8.count < 60_000)
        #expect(svg.contains(">1000</text>"))
        let path = svg.split(separator: "\n").first { $0.contains("class=\"line\"") }
        #expect(path?.contains(" 52") == true, "the peak reaches the top")
    }

    @Test func simulationShowsAsTwoCharts() throws {
        let trace = try SyntheticTrace.spike.trace(duration: 600, peak: 4, seed: 1)
        let simulation = AutoscaleSimulation(
            trace: trace, limits: ScalingLimits(minReplicas: 0, maxReplicas: 8, threshold: 2, cooldown: .seconds(60)),
            service: AutoscaleSimulation.Service(secondsPerRequest: 3, slotsPerReplica: 2, startupSeconds: 8))
        let svg = LineChart.svg(simulation.charts)
        #expect(svg.contains("Requests") && svg.contains("Replicas"))
        #expect(svg.components(of: "class=\"line\"") == 4)
    }
}

extension String {
    fileprivate func components(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
