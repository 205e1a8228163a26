/// Something that a config asks for and that has no effect here, with the reason.
package struct ConfigNote: Sendable, Hashable, CustomStringConvertible {
    /// The field's name on the wire.
    package var field: String
    package var text: String

    package init(field: String, text: String) {
        self.field = field
        self.text = text
    }

    package var description: String { "\(field): \(text)" }
}

extension DeploymentConfig {
    /// What was accepted and has no effect, so that nothing is dropped in silence.
    package func notes() -> [ConfigNote] {
        var notes: [ConfigNote] = []
        func note(_ field: DeploymentConfigField, _ text: String, if applies: Bool) {
            if applies { notes.append(ConfigNote(field: field.wireName, text: text)) }
        }
        let isNamed = EngineCommandLine(self).device != nil
        note(.accelerator, "has no effect: customArgs name the device", if: isNamed && accelerator != nil)
        note(
            .accelerator, "has no effect: computeSpec names the device",
            if: !isNamed && accelerator != nil && computeSpec?.sku != nil && computeSpec?.sku != accelerator)
        note(.computeSpec, "has no effect: customArgs name the device", if: isNamed && computeSpec?.sku != nil)
        note(
            .computeSpec, "its region has no effect: replicas run on the machine of their server",
            if: computeSpec?.region != nil)
        note(
            .quantization, "has no effect: weights are computed with as they are stored; choose a quantised GGUF file",
            if: quantization != nil && quantization != "none")
        note(.usesGuaranteedCapacity, "has no effect: there is no reserved capacity", if: usesGuaranteedCapacity)
        note(.loraxImageTag, "has no effect: replicas run pbctl itself, not an image", if: engineImageTag != nil)
        note(.requestLoggingEnabled, "has no effect: prompts and answers are not recorded", if: logsRequests)
        note(
            .directIngress, "has no effect: requests go through the server, on the same machine or network",
            if: hasDirectIngress)
        note(
            .speculator, "has no effect: tokens are not speculated on",
            if: speculator != nil && speculator != "disabled")
        note(
            .speculationDisableByBatchSize, "has no effect: tokens are not speculated on",
            if: speculationBatchLimit != nil)
        note(
            .chunkedPrefill, "has no effect: long prompts are always computed in parts", if: usesChunkedPrefill == false
        )
        note(.backend, "has no effect: there is one engine", if: backend != nil)
        note(.cacheModel, "has no effect: models are local files already", if: cachesModel)
        return notes + EngineCommandLine(self).notes
    }
}
