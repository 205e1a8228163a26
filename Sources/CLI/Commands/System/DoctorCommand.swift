import ArgumentParser
import Glibc
import ModelHub
import ServingCPU
import ServingCUDA
import ServingJSON
import Terminal

/// `pbctl doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what pbctl finds on this machine.",
        discussion: """
            Ends with status 1 where something that is needed is missing.

            EXAMPLES:
              pbctl doctor
              pbctl doctor -o json
            """)

    @Option(name: .shortAndLong, help: "Format: text or json.")
    var output = TextOrJSON.text

    func run() async throws {
        let findings = Self.findings()
        switch output {
        case .text:
            for finding in findings {
                let hint = finding.hint.map { "\n         -> \($0)" } ?? ""
                try TextOutput.standard.writeLine(
                    "\(finding.state.rawValue.padded(to: 8)) \(finding.subject): \(finding.fact)\(hint)")
            }
        case .json:
            try TextOutput.standard.writeLine(JSONValue.array(findings.map(\.json)).text(style: .pretty))
        }
        let missing = findings.filter { $0.state == .missing }.map(\.subject)
        if !missing.isEmpty { throw CommandFailure("missing: \(missing.joined(separator: ", "))") }
    }

    private static func findings() -> [Finding] {
        var findings = [Finding(.ok, "version", Version.text)]
        do {
            let backend = try CPUBackend()
            findings.append(Finding(.ok, "cpu backend", backend.description))
        } catch {
            findings.append(Finding(.missing, "cpu backend", "\(error)", "unset PBCTL_CPU_ISA"))
        }
        let memory = Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
        findings.append(Finding(.ok, "memory", ByteCount.text(memory)))
        findings.append(
            library(
                "libcurl", ["libcurl.so.4", "libcurl-gnutls.so.4"], "models can't be pulled; install libcurl4"))
        findings.append(
            library("readline", ["libreadline.so.8"], "chat has no line editing; install libreadline8"))
        findings += cuda()
        findings += directories()
        return findings
    }

    private static func library(_ subject: String, _ names: [String], _ hint: String) -> Finding {
        for name in names {
            guard let handle = dlopen(name, RTLD_LAZY) else { continue }
            dlclose(handle)
            return Finding(.ok, subject, name)
        }
        return Finding(.optional, subject, "not found", hint)
    }

    /// CUDA's libraries and the devices that they show; all optional.
    private static func cuda() -> [Finding] {
        do throws(CUDAError) {
            let libraries = try CUDALibraries()
            var findings = libraries.files.map { file in
                Finding(.ok, file.name, file.path + (file.version.isEmpty ? "" : ", version \(file.version)"))
            }
            let devices = try CUDADriver().devices()
            findings += devices.first.map { [nvml($0)] } ?? []
            findings += devices.map { device($0, libraries) }
            return findings
        } catch {
            return [Finding(.optional, "cuda", error.description, "models run on the cpu; docs/cuda.md tells more")]
        }
    }

    /// A device; one that can't be used, too.
    private static func device(_ known: CUDADriver.Device, _ libraries: CUDALibraries) -> Finding {
        do throws(CUDAError) {
            let device = try CUDADevice(libraries, ordinal: known.ordinal)
            let (major, minor) = (device.capability / 10, device.capability % 10)
            return Finding(
                .ok, "cuda:\(known.ordinal)",
                "\(device.name), \(ByteCount.text(Int64(device.memoryBytes))), compute capability "
                    + "\(major).\(minor), \(device.multiprocessorCount) multiprocessors" + use(of: known))
        } catch {
            return Finding(.optional, "cuda:\(known.ordinal)", error.description, "models run on another device")
        }
    }

    /// The library that tells how busy GPUs are.
    private static func nvml(_ device: CUDADriver.Device) -> Finding {
        do throws(CUDAError) {
            return Finding(.ok, "NVML", try GPUMonitor(device).path)
        } catch {
            return Finding(.optional, "NVML", error.description, "the utilisation of GPUs is not shown")
        }
    }

    /// How busy a device is, as far as it tells.
    private static func use(of device: CUDADriver.Device) -> String {
        guard let reading = try? GPUMonitor(device).reading() else { return "" }
        let share = reading.utilization.map { ", \(Figures.percent($0)) busy" } ?? ""
        return share + (reading.usedBytes.map { ", \(ByteCount.text(Int64($0))) in use" } ?? "")
    }

    private static func directories() -> [Finding] {
        do {
            let directories = try PbctlDirectories()
            let listing = try ModelStore(directories).listing()
            var findings = [
                ("config", directories.config), ("state", directories.state), ("cache", directories.cache),
                ("models", directories.models),
            ].map { name, path in
                isWritable(path)
                    ? Finding(.ok, name, path) : Finding(.optional, name, "\(path) can't be written", "check its owner")
            }
            findings.append(Finding(.ok, "pulled models", "\(listing.models.count)"))
            findings += listing.damaged.map { Finding(.optional, "model \($0.name)", $0.reason, "pull it again") }
            return findings
        } catch {
            return [Finding(.missing, "directories", "\(error)")]
        }
    }

    /// Whether a folder, or the nearest one above it that is there, can be written.
    private static func isWritable(_ path: String) -> Bool {
        var path = path
        while access(path, F_OK) != 0, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            path = String(path[..<slash])
        }
        return access(path, W_OK) == 0
    }

    private struct Finding {
        enum State: String { case ok, optional, missing }

        let state: State
        let subject: String
        let fact: String
        let hint: String?

        init(_ state: State, _ subject: String, _ fact: String, _ hint: String? = nil) {
            (self.state, self.subject, self.fact, self.hint) = (state, subject, fact, hint)
        }

        var json: JSONValue {
            [
                "subject": .string(subject), "state": .string(state.rawValue), "fact": .string(fact),
                "hint": hint.map { .string($0) } ?? .null,
            ]
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
