// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Kernels are compiled with optimisation even in debug builds, so that tests that run a real model stay quick.
/// Contraction is off: every fused multiply-add in the kernels is written out, because the order and rounding of
/// each accumulation are part of a kernel's contract.
let kernelSettings: [CSetting] = [
    .unsafeFlags(["-O3", "-std=c17", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"])
]

/// A Swift target in one of the three layers; imports point down: CLI -> Control -> Engine.
func target(_ layer: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(layer)/\(name)",
        swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: swiftSettings)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")

/// What serves HTTP.
let hummingbirdServer: [Target.Dependency] = [
    hummingbird, .product(name: "HTTPTypes", package: "swift-http-types"),
    .product(name: "HummingbirdCore", package: "hummingbird"), .product(name: "Logging", package: "swift-log"),
    .product(name: "NIOCore", package: "swift-nio"),
]

let engine: [Target] = [
    target("Engine", "ServingJSON"),
    target("Engine", "ServingTensors"),
    target("Engine", "ServingModelFiles", ["ServingJSON", "ServingTensors"]),
    target("Engine", "ServingTokenizers", ["ServingJSON", "ServingTensors"]),
    target("Engine", "ServingChatTemplates", ["ServingJSON"]),
    target("Engine", "ServingModels", ["ServingJSON", "ServingTensors", "ServingModelFiles"]),
    .target(name: "CServingAdapters", path: "Sources/Engine/CServingAdapters", cSettings: kernelSettings),
    target(
        "Engine", "ServingAdapters",
        ["CServingAdapters", "CServingKernels", "ServingJSON", "ServingModelFiles", "ServingModels", "ServingTensors"]),
    .target(name: "CServingKernels", path: "Sources/Engine/CServingKernels", cSettings: kernelSettings),
    target("Engine", "ServingCPU", ["CServingKernels", "ServingTensors"]),
    .target(name: "CCUDAHeaders", path: "Sources/Engine/CCUDAHeaders"),
    .target(
        name: "ServingCUDA",
        dependencies: [
            "CCUDAHeaders", "CServingKernels", "ServingTensors", .product(name: "Crypto", package: "swift-crypto"),
        ],
        path: "Sources/Engine/ServingCUDA",
        resources: ["device.cuh", "rows.cu", "rope_kv.cu", "attend.cu", "lora.cu", "products.cu", "sample.cu"].map {
            .embedInCode("Kernels/" + $0)
        },
        swiftSettings: swiftSettings),
    target("Engine", "ServingEngine", ["ServingTensors"]),
    target(
        "Engine", "ServingRuntime",
        [
            "ServingAdapters", "ServingChatTemplates", "ServingCPU", "ServingCUDA", "ServingEngine", "ServingJSON",
            "ServingModelFiles", "ServingModels", "ServingTensors", "ServingTokenizers",
        ]),
    target(
        "Engine", "ServingDiagnostics",
        ["ServingCPU", "ServingCUDA", "ServingEngine", "ServingModelFiles", "ServingModels", "ServingTensors"]),
]

let control: [Target] = [
    .target(name: "CCurl", path: "Sources/Control/CCurl"),
    target("Control", "BlockingThreads"),
    target(
        "Control", "ModelHub",
        [
            "BlockingThreads", "CCurl", "Deployments", "ServingAdapters", "ServingJSON",
            .product(name: "Crypto", package: "swift-crypto"),
        ]),
    target("Control", "LoadGenerator", ["BlockingThreads", "CCurl", "ServingJSON"]),
    target(
        "Control", "HTTPServing",
        [
            "ServingJSON", .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        ] + hummingbirdServer),
    target(
        "Control", "ServingAPI", ["HTTPServing", "ServingAdapters", "ServingEngine", "ServingJSON", "ServingTensors"]),
    target(
        "Control", "ReplicaServer",
        [
            "HTTPServing", "ServingAPI", "ServingAdapters", "ServingEngine", "ServingJSON", "ServingRuntime",
            "ServingTensors", "ServingTokenizers",
            .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        ] + hummingbirdServer),
]

/// Deployments: the control plane, its store, the gateway and what starts replicas. None of them imports the engine.
let deployments: [Target] = [
    target("Control", "Deployments", ["ServingJSON"]),
    .target(name: "CProcess", path: "Sources/Control/CProcess"),
    target("Control", "ReplicaLaunchers", ["CProcess", "Deployments", "ServingJSON"]),
    target(
        "Control", "ControlStore",
        ["Deployments", "ServingJSON", .product(name: "GRDB", package: "GRDB.swift")]),
    target("Control", "ControlAPI", ["Deployments", "ServingJSON"]),
    target(
        "Control", "ControlPlane",
        [
            "ControlAPI", "ControlStore", "Deployments", "HTTPServing", "ReplicaLaunchers", "ServingJSON",
            .product(name: "AsyncHTTPClient", package: "async-http-client"),
            .product(name: "NIOHTTP1", package: "swift-nio"),
        ] + hummingbirdServer),
    target(
        "Control", "Gateway",
        [
            "Deployments", "HTTPServing", "ServingJSON",
            .product(name: "AsyncHTTPClient", package: "async-http-client"),
            .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
        ] + hummingbirdServer),
    target(
        "Control", "ControlServer",
        [
            "ControlAPI", "ControlPlane", "ControlStore", "Deployments", "Gateway", "HTTPServing", "ReplicaLaunchers",
            "ServingJSON",
            .product(name: "AsyncHTTPClient", package: "async-http-client"),
            .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        ] + hummingbirdServer),
]

let commandLine: [Target] = [
    target("CLI", "ControlClient", ["BlockingThreads", "CCurl", "ControlAPI", "Deployments", "ServingJSON"]),
    .target(name: "CReadline", path: "Sources/CLI/CReadline"),
    target("CLI", "Terminal", ["CReadline"]),
    target(
        "CLI", "Commands",
        [
            argumentParser, "BlockingThreads", "ControlAPI", "ControlClient", "ControlServer", "Deployments",
            "HTTPServing",
            "LoadGenerator", "ModelHub",
            "ReplicaServer", "ServingAdapters", "ServingChatTemplates",
            "ServingCPU", "ServingCUDA", "ServingDiagnostics", "ServingEngine", "ServingJSON", "ServingModelFiles",
            "ServingModels", "ServingRuntime",
            "ServingTensors", "ServingTokenizers", "Terminal", .product(name: "Yams", package: "Yams"),
        ]),
    .executableTarget(
        name: "pbctl", dependencies: ["Commands"], path: "Sources/CLI/pbctl", swiftSettings: swiftSettings),
]

let testing: [Target] = [
    // A GPU that is not there, for tests of the CUDA backend.
    .target(
        name: "CUDASimulator", path: "Sources/Support/CUDASimulator", exclude: ["emulation"],
        cxxSettings: [.headerSearchPath("."), .unsafeFlags(["-O2", "-std=c++20", "-Wall", "-Wextra", "-Werror"])]),
    tests(
        "ServingCUDATests",
        [
            "CCUDAHeaders", "ServingAdapters", "ServingCPU", "ServingCUDA", "ServingDiagnostics", "ServingEngine",
            "ServingModelFiles", "ServingModels", "ServingTensors",
        ]),
    tests("ServingJSONTests", ["ServingJSON"]),
    tests("ServingModelFilesTests", ["ServingModelFiles", "ServingJSON", "ServingTensors"]),
    tests("ServingTokenizersTests", ["ServingTokenizers", "ServingJSON", "ServingTensors"]),
    tests("ServingChatTemplatesTests", ["ServingChatTemplates", "ServingJSON"]),
    tests("ServingCPUTests", ["ServingCPU", "ServingTensors"]),
    tests(
        "ServingModelsTests", ["ServingModels", "ServingCPU", "ServingJSON", "ServingModelFiles", "ServingTensors"]),
    tests(
        "ServingAdaptersTests",
        [
            "CServingAdapters", "ServingAdapters", "ServingCPU", "ServingJSON", "ServingModelFiles", "ServingModels",
            "ServingTensors",
        ]),
    tests("ServingEngineTests", ["ServingEngine", "ServingTensors"]),
    tests(
        "ServingRuntimeTests",
        [
            "ServingAdapters", "ServingEngine", "ServingJSON", "ServingModelFiles", "ServingModels", "ServingRuntime",
            "ServingTensors", "ServingTokenizers",
        ]),
    tests("EndToEndTests", []),
    tests("LoadGeneratorTests", ["LoadGenerator", "ServingJSON"]),
    tests(
        "ModelHubTests",
        ["BlockingThreads", "ModelHub", "ServingAdapters", .product(name: "Crypto", package: "swift-crypto")]),
    tests(
        "ServingAPITests",
        ["HTTPServing", "ServingAPI", "ServingAdapters", "ServingEngine", "ServingJSON", "ServingTensors"]),
    tests(
        "ReplicaServerTests",
        [
            "HTTPServing", "ReplicaServer", "ServingAPI", "ServingAdapters", "ServingEngine", "ServingJSON",
            "ServingModelFiles", "ServingRuntime", "ServingTensors", hummingbird,
            .product(name: "HTTPTypes", package: "swift-http-types"),
            .product(name: "HummingbirdCore", package: "hummingbird"),
            .product(name: "HummingbirdTesting", package: "hummingbird"),
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
        ]),
    tests("DeploymentsTests", ["Deployments", "ServingJSON"]),
    tests("ReplicaLaunchersTests", ["CProcess", "Deployments", "ReplicaLaunchers", "ServingJSON"]),
    tests("ControlStoreTests", ["ControlStore", "Deployments", "ServingJSON"]),
    tests("ControlAPITests", ["ControlAPI", "Deployments", "ServingJSON"]),
    tests("ControlClientTests", ["ControlAPI", "ControlClient", "Deployments", "ServingJSON"]),
    tests(
        "ControlPlaneTests",
        [
            "ControlAPI", "ControlPlane", "ControlStore", "Deployments", "HTTPServing", "ReplicaLaunchers",
            "ServingJSON", .product(name: "HummingbirdTesting", package: "hummingbird"),
        ] + hummingbirdServer),
    tests(
        "GatewayTests",
        [
            "Deployments", "Gateway", "HTTPServing", "ServingJSON",
            .product(name: "AsyncHTTPClient", package: "async-http-client"),
            .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
        ] + hummingbirdServer),
    tests("TerminalTests", ["Terminal"]),
    tests(
        "CommandsTests",
        [
            "Commands", argumentParser, "ControlAPI", "ControlClient", "Deployments", "ModelHub", "ServingAdapters",
            "ServingEngine", "ServingJSON", "ServingTensors", "Terminal",
        ]),
]

let package = Package(
    name: "pbctl",
    products: [
        .executable(name: "pbctl", targets: ["pbctl"]),
        .library(name: "ServingRuntime", targets: ["ServingRuntime"]),
        .library(name: "CUDASimulator", type: .dynamic, targets: ["CUDASimulator"]),
    ],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: engine + control + deployments + commandLine + testing
)
