/// Writes prompts of about so many tokens, out of common words that most vocabularies hold whole.
///
/// The first words spell the request's number, so that no two prompts of a run begin alike: a server's prefix cache
/// would otherwise answer for the engine. `sharedPrefixTokens` asks for just that.
public struct PromptWriter: Sendable {
    private let vocabulary: PromptVocabulary
    private let seed: UInt64
    private let sharedPrefixTokens: Int
    private var words: [String] { vocabulary.words }

    /// A writer for a vocabulary.
    /// - Parameters:
    ///   - vocabulary: what is known of the server's tokens.
    ///   - sharedPrefixTokens: how many tokens at the start are the same in all prompts.
    public init(seed: UInt64, vocabulary: PromptVocabulary = PromptVocabulary(), sharedPrefixTokens: Int = 0) {
        self.vocabulary = vocabulary
        self.seed = seed
        self.sharedPrefixTokens = sharedPrefixTokens
    }

    /// The prompt of a request.
    /// - Parameter tokenCount: at least 1; one word stands for one token.
    func text(index: Int, tokenCount: Int) -> String {
        let count = max(1, tokenCount - vocabulary.overheadTokens)
        var text = ""
        var written = 0
        func add(_ word: String) {
            if written > 0 { text += " " }
            text += word
            written += 1
        }
        var shared = SeededGenerator(seed: seed, stream: 0x5AFE)
        while written < min(sharedPrefixTokens, count) { add(word(&shared)) }
        // Digits of the number to the base of as many words as there are; the seed shifts them from run to run.
        var number = UInt64(index) &+ seed % 1_000_003
        for _ in 0..<min(Self.numberWordCount, count - written) {
            add(words[Int(number % UInt64(words.count))])
            number /= UInt64(words.count)
        }
        var generator = SeededGenerator(seed: seed, stream: 0x1_0000 &+ UInt64(index))
        while written < count { add(word(&generator)) }
        return text
    }

    /// The same with other prompts, for requests that come before the load.
    var forWarmUp: PromptWriter {
        PromptWriter(
            seed: seed ^ 0x5741_524D, vocabulary: vocabulary, sharedPrefixTokens: sharedPrefixTokens)
    }

    /// Enough for some millions of requests.
    private static let numberWordCount = 3

    private func word(_ generator: inout SeededGenerator) -> String {
        words[Int(generator.next() % UInt64(words.count))]
    }
}

/// Words, each of one token after a space, and what a prompt costs beside them.
public struct PromptVocabulary: Sendable, Equatable {
    /// At least one.
    public let words: [String]
    /// Tokens that the server adds to any prompt, such as the one that begins a text.
    public let overheadTokens: Int

    /// Common words, unchecked.
    public init() { self.init(words: Self.common, overheadTokens: 0) }

    private init(words: [String], overheadTokens: Int) {
        self.words = words
        self.overheadTokens = overheadTokens
    }

    /// The text to have tokenized for ``init(tokens:)``.
    static var probe: String { common.joined(separator: " ") }

    /// Keeps the words that came back as one token each.
    /// - Parameter tokens: half-open ranges of characters of ``probe``, as the server's `/tokenize` gives them; empty
    ///   ranges are tokens that it added. Nil for ranges that fit too few words.
    init?(tokens: [Range<Int>]) {
        // A token may hold the space before its word.
        let added = tokens.count { $0.isEmpty }
        var starts: [Int: Int] = [:]
        for token in tokens where !token.isEmpty { starts[token.lowerBound] = token.upperBound }
        var words: [String] = []
        var offset = 0
        for word in Self.common {
            let end = offset + word.count
            if offset > 0, starts[offset - 1] == end || starts[offset] == end { words.append(word) }
            offset = end + 1
        }
        guard words.count >= 32 else { return nil }
        self.init(words: words, overheadTokens: added)
    }

    private static let common = """
        time year people way day man thing woman life child world school state family student group country problem \
        hand part place case week company system program question work government number night point home water room \
        mother area money story fact month lot right study book eye job word business issue side kind head house \
        service friend father power hour game line end member law car city community name president team minute idea \
        body information back parent face others level office door health person art war history party result change \
        morning reason research girl guy moment air teacher force education foot boy age policy music market nation \
        paper space plan college interest experience death course use value form action model season society tax \
        director early position player record street image phone data period news cell film table organization court \
        land letter board support church class student field food production technology color design network page \
        oil trade energy summer garden river mountain island bridge station train ship engine metal glass stone wood \
        light sound voice heart blood bone skin hair bird horse fish tree leaf fruit bread milk sugar salt wine \
        north south east west winter spring rain wind snow fire earth moon star sun sky sea road wall roof floor \
        small large high low old new young long short early late great little good bad best true false open close \
        about after again also always among another before being below between both come could down each even every \
        find first from give have here into just know last leave like look make many more most move much must need \
        never next only other over own same see should some still such take tell than that their them then there \
        these they think this those three through two under until very want well what when where which while who \
        will with without would write
        """.split(separator: " ").reduce(into: [String]()) { words, word in
            if !words.contains(String(word)) { words.append(String(word)) }
        }
}
