function __pbctl_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __pbctl_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __pbctl_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __pbctl_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __pbctl_parse_tokens -S
    set -l unparsed_tokens (__pbctl_tokens -pc)
    switch $unparsed_tokens[1]
    case 'pbctl'
        __pbctl_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'prompt'
            __pbctl_parse_subcommand -r 1 'm/model=' 'local' 'device=' 'threads=' 'context=' 'kv-memory=' 'float32' 'adapter=' 'lorax-compat' 'n/max-tokens=' 't/temperature=' 'top-k=' 'top-p=' 'min-p=' 'typical-p=' 'repetition-penalty=' 'presence-penalty=' 'frequency-penalty=' 'logit-bias=+' 'seed=' 'stop=+' 'stop-token=+' 'ignore-eos' 'f/file=' 's/system=' 'raw' 'special-tokens' 'batch=' 'samples=' 'logprobs=' 'o/output=' 'json' 'stats' 'version' 'h/help'
        case 'chat'
            __pbctl_parse_subcommand 0 'm/model=' 'local' 'device=' 'threads=' 'context=' 'kv-memory=' 'float32' 'adapter=' 'lorax-compat' 'n/max-tokens=' 't/temperature=' 'top-k=' 'top-p=' 'min-p=' 'typical-p=' 'repetition-penalty=' 'presence-penalty=' 'frequency-penalty=' 'logit-bias=+' 'seed=' 'stop=+' 'stop-token=+' 'ignore-eos' 's/system=' 'stats' 'script=' 'version' 'h/help'
        case 'tokenize'
            __pbctl_parse_subcommand -r 1 'm/model=' 'jsonl' 'special-as-text' 'bos' 'count' 'version' 'h/help'
        case 'models'
            __pbctl_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __pbctl_parse_subcommand 0 'o/output=' 'version' 'h/help'
            case 'pull'
                __pbctl_parse_subcommand 1 'name=' 'copy' 'o/output=' 'version' 'h/help'
            case 'inspect'
                __pbctl_parse_subcommand 1 'o/output=' 'version' 'h/help'
            case 'rm'
                __pbctl_parse_subcommand -r 1 'y/yes' 'version' 'h/help'
            end
        case 'adapters'
            __pbctl_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __pbctl_parse_subcommand 0 'o/output=' 'version' 'h/help'
            case 'add'
                __pbctl_parse_subcommand 1 'name=' 'o/output=' 'version' 'h/help'
            case 'inspect'
                __pbctl_parse_subcommand 1 'm/model=' 'o/output=' 'version' 'h/help'
            case 'diff'
                __pbctl_parse_subcommand 2 'o/output=' 'version' 'h/help'
            case 'rm'
                __pbctl_parse_subcommand -r 1 'y/yes' 'version' 'h/help'
            case 'merge'
                __pbctl_parse_subcommand 0 'm/model=' 'adapter=+' 'weights=' 'method=' 'density=' 'majority-sign=' 'seed=' 'lorax-compat' 'type=' 'out=' 'version' 'h/help'
            end
        case 'engine'
            __pbctl_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'serve'
                __pbctl_parse_subcommand 0 'm/model=' 'local' 'device=' 'threads=' 'context=' 'kv-memory=' 'float32' 'adapter-root=' 'adapter-source=' 'adapter-memory=' 'merge-adapter=' 'preloaded-adapter-ids=+' 'host=' 'p/port=' 'api-key=' 'served-model-name=' 'max-concurrent-requests=' 'max-batch-size=' 'max-body-size=' 'lorax-compat' 'version' 'h/help'
            case 'logprobs'
                __pbctl_parse_subcommand 0 'm/model=' 'local' 'device=' 'threads=' 'context=' 'kv-memory=' 'float32' 'adapter=' 'lorax-compat' 'top=' 'version' 'h/help'
            case 'render-chat'
                __pbctl_parse_subcommand 0 'm/model=' 'template=' 'date=' 'version' 'h/help'
            end
        case 'bench'
            __pbctl_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'engine'
                __pbctl_parse_subcommand 0 'm/model=' 'local' 'device=' 'threads=' 'context=' 'kv-memory=' 'float32' 'prompt-tokens=' 'output-tokens=' 'streams=' 'repeats=' 'o/output=' 'version' 'h/help'
            case 'serve'
                __pbctl_parse_subcommand 0 'url=' 'api=' 'model=' 'header=+' 'timeout=' 'concurrency=' 'rate=' 'requests=' 'duration=' 'prompt-tokens=' 'output-tokens=' 'shared-prefix-tokens=' 'stop-at-end' 'warmup=' 'seed=' 'adapters=' 'popularity=' 'adapter-ids=' 'adapter-prefix=' 'adapter-root=' 'adapter-source=' 'o/output=' 'version' 'h/help'
            end
        case 'doctor'
            __pbctl_parse_subcommand 0 'o/output=' 'version' 'h/help'
        case 'completions'
            __pbctl_parse_subcommand 1 'version' 'h/help'
        case 'version'
            __pbctl_parse_subcommand 0 'o/output=' 'version' 'h/help'
        case 'help'
            __pbctl_parse_subcommand -r 1 'version'
        end
    end
end

function __pbctl_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __pbctl_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __pbctl_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __pbctl_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__pbctl_tokens -p)
    if test -z "$(__pbctl_tokens -t)"
        set -l index (count (__pbctl_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'pbctl' -f
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'prompt' -d 'Prompt a model.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'chat' -d 'Talk with a model.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'tokenize' -d 'Turn text into token ids.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'models' -d 'Fetch, list and remove models.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'adapters' -d 'Add, look at, compare, remove and merge LoRA adapters.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'engine' -d 'Serve a model, or use the engine\'s parts by themselves.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'bench' -d 'Measure speed.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'doctor' -d 'Check what pbctl finds on this machine.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'completions' -d 'Print a shell\'s completion script.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'version' -d 'Print the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only pulled model).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" local' -l 'local' -d 'Run the model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" device' -l 'device' -d 'Device: cpu.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" threads' -l 'threads' -d 'Threads (default: the cores this process may use).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" context' -l 'context' -d 'Longest sequence, prompt and answer together (default: the model\'s, at most 8192).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" kv-memory' -l 'kv-memory' -d 'Memory for keys and values, for instance 512M or 4G (default: enough for the context, and for many sequences a quarter of the memory).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" float32' -l 'float32' -d 'Compute with float32 weights and cache, without quantisation of activations: slow and exact.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" adapter' -l 'adapter' -d 'A LoRA adapter: a PEFT folder, name/version in the registry, or hf:owner/name.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" lorax-compat' -l 'lorax-compat' -d 'Merge adapters with LoRAX\'s arithmetic instead of PEFT\'s.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" max-tokens n' -s 'n' -l 'max-tokens' -d 'Most tokens to generate.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" t temperature' -l 'temperature' -s 't' -d '0 takes the likeliest token each time; higher is more varied.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" top-k' -l 'top-k' -d 'Choose among this many likeliest tokens (0: all).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" top-p' -l 'top-p' -d 'Choose among the likeliest tokens that together reach this probability.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" min-p' -l 'min-p' -d 'Leave out tokens less likely than this share of the likeliest.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" typical-p' -l 'typical-p' -d 'Keep tokens of typical information up to this probability.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" repetition-penalty' -l 'repetition-penalty' -d 'Divide the scores of tokens already seen (1: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" presence-penalty' -l 'presence-penalty' -d 'Subtract from the scores of tokens already generated (0: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" frequency-penalty' -l 'frequency-penalty' -d 'Subtract for each time that a token was generated (0: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt"' -l 'logit-bias' -d 'Add to a token\'s score; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" seed' -l 'seed' -d 'The same seed gives the same answer.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt"' -l 'stop' -d 'End before this text; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt"' -l 'stop-token' -d 'End at this token; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" ignore-eos' -l 'ignore-eos' -d 'Go on past the model\'s end of text.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" f file' -l 'file' -s 'f' -d 'Read the prompt from a file (- for standard input).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" s system' -l 'system' -s 's' -d 'System message.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" raw' -l 'raw' -d 'Continue the text instead of answering it: no chat template.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" special-tokens' -l 'special-tokens' -d 'Take special tokens that the text spells as tokens, with --raw.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" batch' -l 'batch' -d 'Answer the rows of a JSONL file (- for standard input) in one batch.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" samples' -l 'samples' -d 'How many answers to generate.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" logprobs' -l 'logprobs' -d 'Show each token\'s log-probability and those of so many others, with json.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" o output' -l 'output' -s 'o' -d 'Format: text, json, or jsonl.' -rfka 'text json jsonl'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" json' -l 'json' -d 'The same as -o json.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" stats' -l 'stats' -d 'Say on standard error how long it took.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl prompt" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only pulled model).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" local' -l 'local' -d 'Run the model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" device' -l 'device' -d 'Device: cpu.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" threads' -l 'threads' -d 'Threads (default: the cores this process may use).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" context' -l 'context' -d 'Longest sequence, prompt and answer together (default: the model\'s, at most 8192).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" kv-memory' -l 'kv-memory' -d 'Memory for keys and values, for instance 512M or 4G (default: enough for the context, and for many sequences a quarter of the memory).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" float32' -l 'float32' -d 'Compute with float32 weights and cache, without quantisation of activations: slow and exact.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" adapter' -l 'adapter' -d 'A LoRA adapter: a PEFT folder, name/version in the registry, or hf:owner/name.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" lorax-compat' -l 'lorax-compat' -d 'Merge adapters with LoRAX\'s arithmetic instead of PEFT\'s.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" max-tokens n' -s 'n' -l 'max-tokens' -d 'Most tokens to generate.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" t temperature' -l 'temperature' -s 't' -d '0 takes the likeliest token each time; higher is more varied.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" top-k' -l 'top-k' -d 'Choose among this many likeliest tokens (0: all).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" top-p' -l 'top-p' -d 'Choose among the likeliest tokens that together reach this probability.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" min-p' -l 'min-p' -d 'Leave out tokens less likely than this share of the likeliest.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" typical-p' -l 'typical-p' -d 'Keep tokens of typical information up to this probability.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" repetition-penalty' -l 'repetition-penalty' -d 'Divide the scores of tokens already seen (1: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" presence-penalty' -l 'presence-penalty' -d 'Subtract from the scores of tokens already generated (0: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" frequency-penalty' -l 'frequency-penalty' -d 'Subtract for each time that a token was generated (0: off).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat"' -l 'logit-bias' -d 'Add to a token\'s score; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" seed' -l 'seed' -d 'The same seed gives the same answer.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat"' -l 'stop' -d 'End before this text; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat"' -l 'stop-token' -d 'End at this token; may be repeated.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" ignore-eos' -l 'ignore-eos' -d 'Go on past the model\'s end of text.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" s system' -l 'system' -s 's' -d 'System message.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" stats' -l 'stats' -d 'Say on standard error after each answer how long it took.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" script' -l 'script' -d 'Take messages and commands from a file (- for standard input).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl chat" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, a tokenizer.json, a tokenizer.model, or a pulled model\'s name.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" jsonl' -l 'jsonl' -d 'Read objects with a text from standard input, one a line; write ids and decoded text, one a line.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" special-as-text' -l 'special-as-text' -d 'Take special tokens that the text spells as text.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" bos' -l 'bos' -d 'Put the beginning-of-sequence token first where the model wants one.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" count' -l 'count' -d 'Print only how many tokens there are.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl tokenize" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models" -eq 1' -fa 'list' -d 'List the models on this machine.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models" -eq 1' -fa 'pull' -d 'Fetch a model from a hub, or take in one from a path.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models" -eq 1' -fa 'inspect' -d 'Say what a model is made of, without loading its weights.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models" -eq 1' -fa 'rm' -d 'Remove models from this machine.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models list" o output' -l 'output' -s 'o' -d 'Format: table, json or name.' -rfka 'table json name'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models list" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models pull" -eq 1' -F
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models pull" name' -l 'name' -d 'Name in the store (default: from the source).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models pull" copy' -l 'copy' -d 'Copy the files of a path instead of remembering where they are.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models pull" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models pull" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models pull" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl models inspect" -eq 1' -F
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models inspect" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models inspect" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models inspect" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models rm" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models rm" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl models rm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'list' -d 'List the adapters that were added on this machine.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'add' -d 'Add an adapter\'s next version, from a folder or a hub.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'inspect' -d 'Say what an adapter is made of, and whether it fits a model.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'diff' -d 'Say in what two adapters differ: config fields and tensors.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'rm' -d 'Remove versions of adapters, or adapters with all versions.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters" -eq 1' -fa 'merge' -d 'Write a model with one or several adapters merged in.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters list" o output' -l 'output' -s 'o' -d 'Format: table, json or name.' -rfka 'table json name'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters list" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters add" -eq 1' -fa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters add" name' -l 'name' -d 'Name in the registry (default: from the source).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters add" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters add" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters add" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters inspect" -eq 1' -fa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters inspect" m model' -l 'model' -s 'm' -d 'A model that the adapter should fit: a file, a folder or a name.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters inspect" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters inspect" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters inspect" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters diff" -eq 1' -fa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl adapters diff" -eq 2' -fa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters diff" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters diff" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters diff" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters rm" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters rm" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters rm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" m model' -l 'model' -s 'm' -d 'The base model: a GGUF file, a Hugging Face folder, or a pulled model\'s name.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge"' -l 'adapter' -d 'A PEFT folder, name[/version], or hf:owner/name[@revision]; may be repeated.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" weights' -l 'weights' -d 'A weight for each adapter, for instance 0.7,0.3 (default: 1 each).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" method' -l 'method' -d 'How several adapters become one.' -rfka 'linear ties dare_linear dare_ties magnitude_prune cat svd'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" density' -l 'density' -d 'Share of the elements that pruning keeps, above 0 to 1.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" majority-sign' -l 'majority-sign' -d 'Whose sign wins for ties and dare_ties: that of the sum of values or of signs.' -rfka 'total frequency'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" seed' -l 'seed' -d 'The same seed makes dare_linear and dare_ties drop the same.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" lorax-compat' -l 'lorax-compat' -d 'Combine as LoRAX does: weights on both factors, no rescaling.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" type' -l 'type' -d 'Encoding of the merged model\'s weights.' -rfka 'f32 f16 bf16 q8_0 q4_0 q4_1'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" out' -l 'out' -d 'File or folder to write.' -rfa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'gguf\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl adapters merge" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl engine" -eq 1' -fa 'serve' -d 'Serve a model and its adapters over HTTP.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl engine" -eq 1' -fa 'logprobs' -d 'Print what a model expects after each of the given tokens.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl engine" -eq 1' -fa 'render-chat' -d 'Render conversations with a chat template.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only pulled model).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" local' -l 'local' -d 'Run the model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" device' -l 'device' -d 'Device: cpu.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" threads' -l 'threads' -d 'Threads (default: the cores this process may use).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" context' -l 'context' -d 'Longest sequence, prompt and answer together (default: the model\'s, at most 8192).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" kv-memory' -l 'kv-memory' -d 'Memory for keys and values, for instance 512M or 4G (default: enough for the context, and for many sequences a quarter of the memory).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" float32' -l 'float32' -d 'Compute with float32 weights and cache, without quantisation of activations: slow and exact.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" adapter-root' -l 'adapter-root' -d 'Folder below which ids of local adapters are paths.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" adapter-source' -l 'adapter-source' -d 'Where adapter ids lead unless a request says so: local, hub or pbase (default: local with --adapter-root, else hub).' -rfka 'local hub pbase'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" adapter-memory' -l 'adapter-memory' -d 'Memory for adapters on the device (default: an eighth of it).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" merge-adapter' -l 'merge-adapter' -d 'Merge an adapter into the weights at load: a folder, name/version, or hf:owner/name.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve"' -l 'preloaded-adapter-ids' -d 'Load these adapters at start and keep them.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" host' -l 'host' -d 'Address to listen on.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" p port' -l 'port' -s 'p' -d 'Port; 0 takes any that is free.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" api-key' -l 'api-key' -d 'Key that clients must send (default: PBCTL_API_KEY, which other users can\'t see in lists of processes).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" served-model-name' -l 'served-model-name' -d 'Name that clients know the model by (default: its file\'s).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" max-concurrent-requests' -l 'max-concurrent-requests' -d 'Most requests under way; more get status 429.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" max-batch-size' -l 'max-batch-size' -d 'Most sequences computed together.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" max-body-size' -l 'max-body-size' -d 'Largest request body.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" lorax-compat' -l 'lorax-compat' -d 'Keep LoRAX\'s oddities where they contradict its documentation or OpenAI\'s, merges among them.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine serve" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only pulled model).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" local' -l 'local' -d 'Run the model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" device' -l 'device' -d 'Device: cpu.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" threads' -l 'threads' -d 'Threads (default: the cores this process may use).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" context' -l 'context' -d 'Longest sequence, prompt and answer together (default: the model\'s, at most 8192).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" kv-memory' -l 'kv-memory' -d 'Memory for keys and values, for instance 512M or 4G (default: enough for the context, and for many sequences a quarter of the memory).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" float32' -l 'float32' -d 'Compute with float32 weights and cache, without quantisation of activations: slow and exact.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" adapter' -l 'adapter' -d 'A LoRA adapter: a PEFT folder, name/version in the registry, or hf:owner/name.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" lorax-compat' -l 'lorax-compat' -d 'Merge adapters with LoRAX\'s arithmetic instead of PEFT\'s.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" top' -l 'top' -d 'How many tokens to list a position; at most the vocabulary.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine logprobs" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine render-chat" m model' -l 'model' -s 'm' -d 'The model whose template is used.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine render-chat" template' -l 'template' -d 'A template file instead.' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine render-chat" date' -l 'date' -d 'The day that templates print as today (default: today).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine render-chat" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl engine render-chat" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl bench" -eq 1' -fa 'engine' -d 'Measure prefill and decode of a model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl bench" -eq 1' -fa 'serve' -d 'Measure a server under load, with many adapters or none.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" m model' -l 'model' -s 'm' -d 'A GGUF file, a Hugging Face folder, or the name of a pulled model (default: PBCTL_MODEL, else the only pulled model).' -rF
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" local' -l 'local' -d 'Run the model in this process.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" device' -l 'device' -d 'Device: cpu.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" threads' -l 'threads' -d 'Threads (default: the cores this process may use).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" context' -l 'context' -d 'Longest sequence, prompt and answer together (default: the model\'s, at most 8192).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" kv-memory' -l 'kv-memory' -d 'Memory for keys and values, for instance 512M or 4G (default: enough for the context, and for many sequences a quarter of the memory).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" float32' -l 'float32' -d 'Compute with float32 weights and cache, without quantisation of activations: slow and exact.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" prompt-tokens' -l 'prompt-tokens' -d 'Prompt tokens a stream.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" output-tokens' -l 'output-tokens' -d 'Tokens to generate a stream.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" streams' -l 'streams' -d 'Streams at a time.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" repeats' -l 'repeats' -d 'Measured repetitions, after one that is not.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench engine" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" url' -l 'url' -d 'The server, such as http://127.0.0.1:8080.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" api' -l 'api' -d 'What it speaks: lorax (/generate_stream), openai (/v1/completions), chat or llama (llama.cpp).' -rfka 'lorax openai chat llama'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" model' -l 'model' -d 'The base model\'s name, for openai and chat (default: ask).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve"' -l 'header' -d 'A header to send, such as "Authorization: Bearer x".' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" timeout' -l 'timeout' -d 'Give a request up after so long.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" concurrency' -l 'concurrency' -d 'Requests in flight (default: 1; with --rate the most there may be).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" rate' -l 'rate' -d 'Requests a second, at random moments.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" requests' -l 'requests' -d 'Requests in all (default: 100, without --duration).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" duration' -l 'duration' -d 'Start none after so long.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" prompt-tokens' -l 'prompt-tokens' -d 'Tokens of a prompt.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" output-tokens' -l 'output-tokens' -d 'Tokens of an answer.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" shared-prefix-tokens' -l 'shared-prefix-tokens' -d 'Tokens at the start that are the same in all prompts.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" stop-at-end' -l 'stop-at-end' -d 'Let answers end where the model ends them.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" warmup' -l 'warmup' -d 'Requests to send before, unmeasured, one adapter after another.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" seed' -l 'seed' -d 'Decides prompts, lengths and adapters (default: another each time).' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" adapters' -l 'adapters' -d 'How many; 0 asks the base model.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" popularity' -l 'popularity' -d 'identical, uniform, zipf, zipf:EXPONENT or distinct.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" adapter-ids' -l 'adapter-ids' -d 'Their ids.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" adapter-prefix' -l 'adapter-prefix' -d 'Ids are this and a number from 0.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" adapter-root' -l 'adapter-root' -d 'Ids are the names of the folders in this one, sorted.' -rfa '(__pbctl_complete_directories)'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" adapter-source' -l 'adapter-source' -d 'Where the server is to look: local, hub or pbase.' -rfka ''
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" o output' -l 'output' -s 'o' -d 'Format: table or json.' -rfka 'table json name'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl bench serve" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl doctor" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl doctor" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl doctor" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_positional "pbctl completions" -eq 1' -fka 'bash zsh fish'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl completions" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl completions" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl version" o output' -l 'output' -s 'o' -d 'Format: text or json.' -rfka 'text json'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl version" version' -l 'version' -d 'Show the version.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl version" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'pbctl' -n '__pbctl_should_offer_completions_for_flags_or_options "pbctl help" version' -l 'version' -d 'Show the version.'
