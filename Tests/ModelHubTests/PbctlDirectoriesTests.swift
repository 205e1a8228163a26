import Testing

@testable import ModelHub

@Suite struct PbctlDirectoriesTests {
    private func directories(
        _ environment: [String: String], passwordHome: String? = nil
    ) throws(ModelHubError) -> PbctlDirectories {
        try PbctlDirectories(environment: { environment[$0] }, passwordHome: { passwordHome })
    }

    @Test func homeHoldsTheDefaults() throws {
        let found = try directories(["HOME": "/home/a"])
        #expect(found.config == "/home/a/.config/pbctl" && found.state == "/home/a/.local/state/pbctl")
        #expect(found.cache == "/home/a/.cache/pbctl" && found.models == "/home/a/.local/share/pbctl/models")
    }

    @Test func variablesMoveThemUnlessRelative() throws {
        let found = try directories(["HOME": "/h", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "relative"])
        #expect(found.data == "/d/pbctl" && found.cache == "/h/.cache/pbctl")
        let moved = try directories(["HOME": "/h", "XDG_DATA_HOME": "/d", "PBCTL_HOME": "/p"])
        #expect(moved.data == "/p/data" && moved.config == "/p/config")
        #expect(try directories(["PBCTL_HOME": "p"]).data.hasPrefix("/"))
    }

    @Test func withoutHomeThePasswordDatabaseKnows() throws {
        #expect(try directories([:], passwordHome: "/root").cache == "/root/.cache/pbctl")
        #expect(try directories(["HOME": ""], passwordHome: "/root").cache == "/root/.cache/pbctl")
        let error = #expect(throws: ModelHubError.self) { try directories([:]) }
        #expect(error?.hint?.contains("PBCTL_HOME") == true)
    }
}
