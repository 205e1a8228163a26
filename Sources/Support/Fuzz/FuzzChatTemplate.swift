import ServingChatTemplates
import ServingJSON

/// A conversation with every kind of message and value that templates ask for.
private let conversation: JSONValue = [
    "messages": [
        ["role": "system", "content": "Be brief.\n  Zwölf \u{1F600}"],
        ["role": "user", "content": [["type": "text", "text": "What is the time?"], ["type": "image"]]],
        [
            "role": "assistant", "content": nil, "reasoning_content": "<think>\n</think>",
            "tool_calls": [
                [
                    "id": "call_1", "type": "function",
                    "function": ["name": "clock", "arguments": ["zone": "UTC", "digits": 2, "exact": true]],
                ]
            ],
        ],
        ["role": "tool", "name": "clock", "tool_call_id": "call_1", "content": "{\"time\": \"12:30\"}"],
        ["role": "user", "content": "Thanks! <|im_end|>"],
    ],
    "tools": [
        [
            "type": "function",
            "function": [
                "name": "clock", "description": "Tells the \"time\"",
                "parameters": ["type": "object", "properties": ["zone": ["type": "string"]], "required": ["zone"]],
            ],
        ]
    ],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "zero": 0, "big": 9_223_372_036_854_775_807,
    "half": 0.5, "tiny": 1e-300, "none": nil, "list": [1, "a", nil, [2.5, false], ["k": "v"]], "empty": [:],
]

/// Low enough that any template ends within a fraction of a second, also when instrumented.
private let limits = ChatTemplateLimits(steps: 20_000, outputBytes: 1 << 16, recursion: 50, stackBytes: 1 << 20)

/// libFuzzer's entry: any text as a chat template, rendered over a fixed conversation at a fixed date.
@c(LLVMFuzzerTestOneInput)
func fuzzChatTemplate(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let context = conversation.objectValue else { return 0 }
    let source = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    do throws(ChatTemplateError) {
        let template = try ChatTemplate(source: source)
        let date = ChatTemplateDate(year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 60)
        let prompt = try template.render(context, limits: limits, now: date)
        precondition(prompt.utf8.count <= limits.outputBytes, "output beyond its limit")
    } catch {
        _ = error.description
    }
    return 0
}
