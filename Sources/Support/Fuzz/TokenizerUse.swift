import ServingTensors
import ServingTokenizers

/// Letters of several scripts, marks, digits, white space of all kinds, tokens' names, an emoji sequence, a null.
private let text = """
    Hello, wo\u{308}rld! It's 12345 o'clock\u{2009}\u{3000}日本語 ﬁve\r\n\t  <s></s><unk><|im_end|> ▁Ġ
    aaaaaaaaaaaaaaaa \u{1F468}\u{200D}\u{1F469} ÅÅ ǅ İ\u{0}\u{FFFD}\u{10FFFF}  x
    """

/// Encodes and decodes a fixed text in every mode, and asks for ids in and out of the vocabulary.
func use(_ tokenizer: Tokenizer) {
    for piece in ["", " ", text] {
        let plain = tokenizer.encode(piece)
        let special = tokenizer.encode(piece, specialTokens: .recognized, addingBOS: true, addingEOS: true)
        for ids in [plain, special] {
            precondition(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularyCount }, "an id out of the vocabulary")
            _ = tokenizer.decode(ids, skippingSpecialTokens: false)
            stream(ids, through: tokenizer)
        }
    }
    let last = TokenID(clamping: tokenizer.vocabularyCount)
    var ids: [TokenID] = [.min, -1, last, .max]
    ids += 0..<min(last, 300)
    ids += tokenizer.specialTokenIDs.prefix(300)
    for id in ids {
        let name = tokenizer.text(of: id)
        _ = (tokenizer.bytes(of: id), tokenizer.isSpecial(id), name.map { tokenizer.tokenID(of: $0) })
    }
    stream(ids, through: tokenizer)
    _ = tokenizer.decode(ids, skippingSpecialTokens: true)
}

private func stream(_ ids: [TokenID], through tokenizer: Tokenizer) {
    var detokenizer = StreamingDetokenizer(tokenizer, skippingSpecialTokens: true)
    for id in ids { _ = detokenizer.append(id) }
    _ = detokenizer.finish()
}
