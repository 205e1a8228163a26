/// A deployment's name: a DNS label, so that it fits in paths, host names and the objects of clusters.
package struct DeploymentName: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    /// What is wrong with a name.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let name: String
        package var description: String {
            "deployment name \"\(name.prefix(80))\": expected 1 to 63 of a-z, 0-9 and -, not at either end"
        }
    }

    package init(_ text: String) throws(Malformed) {
        let bytes = Array(text.utf8)
        func isLetterOrDigit(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard (1...63).contains(bytes.count), isLetterOrDigit(bytes[0]), isLetterOrDigit(bytes[bytes.count - 1]),
            bytes.allSatisfy({ isLetterOrDigit($0) || $0 == UInt8(ascii: "-") })
        else { throw Malformed(name: text) }
        self.text = text
    }

    package var description: String { text }
    package static func < (left: DeploymentName, right: DeploymentName) -> Bool { left.text < right.text }
}
