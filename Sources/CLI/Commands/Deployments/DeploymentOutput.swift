import ControlAPI
import ServingJSON
import Terminal

/// What commands that change a deployment print.
enum DeploymentOutput {
    /// One line for people, or the deployment in the form asked for.
    static func write(_ view: DeploymentView, as format: OutputFormat, verb: String) throws {
        switch format {
        case .table, .wide:
            try TextOutput.standard.writeLine("deployment \(view.name) \(verb)")
            try TextOutput.standard.flush()
        case .yaml: try TextOutput.standard.write(DeploymentManifest.yaml(of: view))
        default: try Resource.write(Resource.single("Deployment", view.json), as: format, names: [view.name])
        }
    }
}
