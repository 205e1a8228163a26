#!/bin/bash

__pbctl_cursor_index_in_current_word() {
    local remaining="${COMP_LINE}"

    local word
    for word in "${COMP_WORDS[@]::COMP_CWORD}"; do
        remaining="${remaining##*([[:space:]])"${word}"*([[:space:]])}"
    done

    local -ir index="$((COMP_POINT - ${#COMP_LINE} + ${#remaining}))"
    if [[ "${index}" -le 0 ]]; then
        printf 0
    else
        printf %s "${index}"
    fi
}

# positional arguments:
#
# - 1: the current (sub)command's count of positional arguments
#
# required variables:
#
# - repeating_flags: the repeating flags that the current (sub)command can accept
# - non_repeating_flags: the non-repeating flags that the current (sub)command can accept
# - repeating_options: the repeating options that the current (sub)command can accept
# - non_repeating_options: the non-repeating options that the current (sub)command can accept
# - positional_number: value ignored
# - unparsed_words: unparsed words from the current command line
#
# modified variables:
#
# - non_repeating_flags: remove flags for this (sub)command that are already on the command line
# - non_repeating_options: remove options for this (sub)command that are already on the command line
# - positional_number: set to the current positional number
# - unparsed_words: remove all flags, options, and option values for this (sub)command
__pbctl_offer_flags_options() {
    local -ir positional_count="${1}"
    positional_number=0

    local was_flag_option_terminator_seen=false
    local is_parsing_option_value=false

    local -ar unparsed_word_indices=("${!unparsed_words[@]}")
    local -i word_index
    for word_index in "${unparsed_word_indices[@]}"; do
        if "${is_parsing_option_value}"; then
            # This word is an option value:
            # Reset marker for next word iff not currently the last word
            [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]] && is_parsing_option_value=false
            unset "unparsed_words[${word_index}]"
            # Do not process this word as a flag or an option
            continue
        fi

        local word="${unparsed_words["${word_index}"]}"
        if ! "${was_flag_option_terminator_seen}"; then
            case "${word}" in
            --)
                unset "unparsed_words[${word_index}]"
                # by itself -- is a flag/option terminator, but if it is the last word, it is the start of a completion
                if [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]]; then
                    was_flag_option_terminator_seen=true
                fi
                continue
                ;;
            -*)
                # ${word} is a flag or an option
                # If ${word} is an option, mark that the next word to be parsed is an option value
                local option
                for option in "${repeating_options[@]}" "${non_repeating_options[@]}"; do
                    [[ "${word}" = "${option}" ]] && is_parsing_option_value=true && break
                done

                # Remove ${word} from ${non_repeating_flags} or ${non_repeating_options} so it isn't offered again
                local not_found=true
                local -i index
                for index in "${!non_repeating_flags[@]}"; do
                    if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                        unset "non_repeating_flags[${index}]"
                        non_repeating_flags=("${non_repeating_flags[@]}")
                        not_found=false
                        break
                    fi
                done
                if "${not_found}"; then
                    for index in "${!non_repeating_flags[@]}"; do
                        if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                            unset "non_repeating_flags[${index}]"
                            non_repeating_flags=("${non_repeating_flags[@]}")
                            break
                        fi
                    done
                fi
                unset "unparsed_words[${word_index}]"
                continue
                ;;
            esac
        fi

        # ${word} is neither a flag, nor an option, nor an option value
        if [[ "${positional_number}" -lt "${positional_count}" || "${positional_count}" -lt 0 ]]; then
            # ${word} is a positional
            ((positional_number++))
            unset "unparsed_words[${word_index}]"
        else
            if [[ -z "${word}" ]]; then
                # Could be completing a flag, option, or subcommand
                positional_number=-1
            else
                # ${word} is a subcommand or invalid, so stop processing this (sub)command
                positional_number=-2
            fi
            break
        fi
    done

    unparsed_words=("${unparsed_words[@]}")

    if\
        ! "${was_flag_option_terminator_seen}"\
        && ! "${is_parsing_option_value}"\
        && [[ ("${cur}" = -* && "${positional_number}" -ge 0) || "${positional_number}" -eq -1 ]]
    then
        COMPREPLY+=($(compgen -W "${repeating_flags[*]} ${non_repeating_flags[*]} ${repeating_options[*]} ${non_repeating_options[*]}" -- "${cur}"))
    fi
}

__pbctl_add_completions() {
    local completion
    while IFS='' read -r completion; do
        COMPREPLY+=("${completion}")
    done < <(IFS=$'\n' compgen "${@}" -- "${cur}")
}

__pbctl_custom_complete() {
    if [[ -n "${cur}" || -z ${COMP_WORDS[${COMP_CWORD}]} || "${COMP_LINE:${COMP_POINT}:1}" != ' ' ]]; then
        local -ar words=("${COMP_WORDS[@]}")
    else
        local -ar words=("${COMP_WORDS[@]::${COMP_CWORD}}" '' "${COMP_WORDS[@]:${COMP_CWORD}}")
    fi

    "${COMP_WORDS[0]}" "${@}" "${words[@]}"
}

_pbctl() {
    local state
    state="$(shopt -p;shopt -po)"
    trap "${state//$'\n'/;}" RETURN
    shopt -s extglob
    set +o history +o posix

    local -xr SAP_SHELL=bash
    local -x SAP_SHELL_VERSION
    SAP_SHELL_VERSION="$(IFS='.';printf %s "${BASH_VERSINFO[*]}")"
    local -r SAP_SHELL_VERSION

    local -r cur="${2}"
    local -r prev="${3}"

    local -i positional_number
    local -a unparsed_words=("${COMP_WORDS[@]:1:${COMP_CWORD}}")

    local -a repeating_flags=()
    local -a non_repeating_flags=(--version -h --help)
    local -a repeating_options=()
    local -a non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    deploy|apply|diff|get|status|update|scale|autoscale|start|stop|restart|delete|rollout|wait|logs|events|metrics|endpoint|server|prompt|chat|tokenize|models|adapters|engine|bench|gpu|doctor|completions|version|help)
        # Offer subcommand argument completions
        "_pbctl_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'deploy apply diff get status update scale autoscale start stop restart delete rollout wait logs events metrics endpoint server prompt chat tokenize models adapters engine bench gpu doctor completions version help' -- "${cur}"))
        ;;
    esac
}

_pbctl_deploy() {
    repeating_flags=()
    non_repeating_flags=(--dry-run --wait --no-wait --no-autostart --version -h --help)
    repeating_options=(--adapter --set)
    non_repeating_options=(--model -m --min --max --cooldown --threshold --description --file -f --timeout --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '--min')
        return
        ;;
    '--max')
        return
        ;;
    '--cooldown')
        return
        ;;
    '--threshold')
        return
        ;;
    '--set')
        return
        ;;
    '--description')
        return
        ;;
    '--file'|'-f')
        __pbctl_add_completions -o plusdirs -fX '!*.@(yaml|yml|json)'
        return
        ;;
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac
}

_pbctl_apply() {
    repeating_flags=()
    non_repeating_flags=(--dry-run --wait --no-wait --no-autostart --version -h --help)
    repeating_options=(--file -f)
    non_repeating_options=(--timeout --server)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--file'|'-f')
        __pbctl_add_completions -o plusdirs -fX '!*.@(yaml|yml|json)'
        return
        ;;
    '--timeout')
        return
        ;;
    '--server')
        return
        ;;
    esac
}

_pbctl_diff() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=(--file -f)
    non_repeating_options=(--server)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--file'|'-f')
        __pbctl_add_completions -o plusdirs -fX '!*.@(yaml|yml|json)'
        return
        ;;
    '--server')
        return
        ;;
    esac
}

_pbctl_get() {
    repeating_flags=()
    non_repeating_flags=(--deleted --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion get -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_status() {
    repeating_flags=()
    non_repeating_flags=(--watch -w --all -a --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion status -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_update() {
    repeating_flags=()
    non_repeating_flags=(--dry-run --wait --no-wait --no-autostart --version -h --help)
    repeating_options=(--adapter --set)
    non_repeating_options=(--min --max --cooldown --threshold --description --timeout --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '--min')
        return
        ;;
    '--max')
        return
        ;;
    '--cooldown')
        return
        ;;
    '--threshold')
        return
        ;;
    '--set')
        return
        ;;
    '--description')
        return
        ;;
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion update -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_scale() {
    repeating_flags=()
    non_repeating_flags=(--auto --wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--min --max --threshold --cooldown --timeout --output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--min')
        return
        ;;
    '--max')
        return
        ;;
    '--threshold')
        return
        ;;
    '--cooldown')
        return
        ;;
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion scale -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_autoscale() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    show|simulate|plot)
        # Offer subcommand argument completions
        "_pbctl_autoscale_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'show simulate plot' -- "${cur}"))
        ;;
    esac
}

_pbctl_autoscale_show() {
    repeating_flags=()
    non_repeating_flags=(--show --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion autoscale show -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_autoscale_simulate() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--trace --synthetic --duration --peak --seed --min --max --threshold --cooldown --request-time --slots --startup --svg --output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--trace')
        __pbctl_add_completions -f
        return
        ;;
    '--synthetic')
        __pbctl_add_completions -W 'ramp'$'\n''spike'$'\n''diurnal'$'\n''poisson'
        return
        ;;
    '--duration')
        return
        ;;
    '--peak')
        return
        ;;
    '--seed')
        return
        ;;
    '--min')
        return
        ;;
    '--max')
        return
        ;;
    '--threshold')
        return
        ;;
    '--cooldown')
        return
        ;;
    '--request-time')
        return
        ;;
    '--slots')
        return
        ;;
    '--startup')
        return
        ;;
    '--svg')
        __pbctl_add_completions -o plusdirs -fX '!*.@(svg)'
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'$'\n''csv'
        return
        ;;
    esac
}

_pbctl_autoscale_plot() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--svg)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--svg')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -o plusdirs -fX '!*.@(csv)'
        return
        ;;
    esac
}

_pbctl_start() {
    repeating_flags=()
    non_repeating_flags=(--wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion start -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_stop() {
    repeating_flags=()
    non_repeating_flags=(--all --yes -y --wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion stop -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_restart() {
    repeating_flags=()
    non_repeating_flags=(--wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion restart -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_delete() {
    repeating_flags=()
    non_repeating_flags=(--yes -y --wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --output -o --server)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion delete -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_rollout() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    history|status|undo)
        # Offer subcommand argument completions
        "_pbctl_rollout_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'history status undo' -- "${cur}"))
        ;;
    esac
}

_pbctl_rollout_history() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion rollout history -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_rollout_status() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion rollout status -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_rollout_undo() {
    repeating_flags=()
    non_repeating_flags=(--wait --no-wait --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--to-revision --timeout --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--to-revision')
        return
        ;;
    '--timeout')
        return
        ;;
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion rollout undo -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_wait() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--for --timeout --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--for')
        return
        ;;
    '--timeout')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion wait -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_logs() {
    repeating_flags=()
    non_repeating_flags=(--follow -f --timestamps --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--replica --tail --since --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--replica')
        return
        ;;
    '--tail')
        return
        ;;
    '--since')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion logs -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_events() {
    repeating_flags=()
    non_repeating_flags=(--follow -f --no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--tail --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--tail')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion events -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_metrics() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--since --step --adapter --output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--since')
        return
        ;;
    '--step')
        return
        ;;
    '--adapter')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'table'$'\n''csv'$'\n''json'
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion metrics -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_endpoint() {
    repeating_flags=()
    non_repeating_flags=(--no-autostart --version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        return
        ;;
    '--server')
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion endpoint -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_server() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    start|status|stop|run)
        # Offer subcommand argument completions
        "_pbctl_server_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'start status stop run' -- "${cur}"))
        ;;
    esac
}

_pbctl_server_start() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--host --port -p --timeout)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--host')
        return
        ;;
    '--port'|'-p')
        return
        ;;
    '--timeout')
        return
        ;;
    esac
}

_pbctl_server_status() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o --server)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    '--server')
        return
        ;;
    esac
}

_pbctl_server_stop() {
    repeating_flags=()
    non_repeating_flags=(--replicas --version -h --help)
    repeating_options=()
    non_repeating_options=(--timeout --server)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--timeout')
        return
        ;;
    '--server')
        return
        ;;
    esac
}

_pbctl_server_run() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--host --port -p)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--host')
        return
        ;;
    '--port'|'-p')
        return
        ;;
    esac
}

_pbctl_prompt() {
    repeating_flags=()
    non_repeating_flags=(--local --no-prefix-cache --float32 --deterministic --no-autostart --lorax-compat --ignore-eos --raw --special-tokens --json --stats --version -h --help)
    repeating_options=(--adapter --logit-bias --stop --stop-token)
    non_repeating_options=(--model -m --device --threads --context --kv-memory --max-batched-tokens --server --deployment -n --max-tokens --temperature -t --top-k --top-p --min-p --typical-p --repetition-penalty --presence-penalty --frequency-penalty --seed --file -f --system -s --batch --samples --logprobs --output -o)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--device')
        return
        ;;
    '--threads')
        return
        ;;
    '--context')
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--max-batched-tokens')
        return
        ;;
    '--server')
        return
        ;;
    '--deployment')
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion prompt -- --deployment "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '-n'|'--max-tokens')
        return
        ;;
    '--temperature'|'-t')
        return
        ;;
    '--top-k')
        return
        ;;
    '--top-p')
        return
        ;;
    '--min-p')
        return
        ;;
    '--typical-p')
        return
        ;;
    '--repetition-penalty')
        return
        ;;
    '--presence-penalty')
        return
        ;;
    '--frequency-penalty')
        return
        ;;
    '--logit-bias')
        return
        ;;
    '--seed')
        return
        ;;
    '--stop')
        return
        ;;
    '--stop-token')
        return
        ;;
    '--file'|'-f')
        __pbctl_add_completions -f
        return
        ;;
    '--system'|'-s')
        return
        ;;
    '--batch')
        __pbctl_add_completions -f
        return
        ;;
    '--samples')
        return
        ;;
    '--logprobs')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'$'\n''jsonl'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion prompt -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_chat() {
    repeating_flags=()
    non_repeating_flags=(--local --no-prefix-cache --float32 --deterministic --no-autostart --lorax-compat --ignore-eos --stats --version -h --help)
    repeating_options=(--adapter --logit-bias --stop --stop-token)
    non_repeating_options=(--model -m --device --threads --context --kv-memory --max-batched-tokens --server -n --max-tokens --temperature -t --top-k --top-p --min-p --typical-p --repetition-penalty --presence-penalty --frequency-penalty --seed --system -s --script)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--device')
        return
        ;;
    '--threads')
        return
        ;;
    '--context')
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--max-batched-tokens')
        return
        ;;
    '--server')
        return
        ;;
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '-n'|'--max-tokens')
        return
        ;;
    '--temperature'|'-t')
        return
        ;;
    '--top-k')
        return
        ;;
    '--top-p')
        return
        ;;
    '--min-p')
        return
        ;;
    '--typical-p')
        return
        ;;
    '--repetition-penalty')
        return
        ;;
    '--presence-penalty')
        return
        ;;
    '--frequency-penalty')
        return
        ;;
    '--logit-bias')
        return
        ;;
    '--seed')
        return
        ;;
    '--stop')
        return
        ;;
    '--stop-token')
        return
        ;;
    '--system'|'-s')
        return
        ;;
    '--script')
        __pbctl_add_completions -f
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W "$(__pbctl_custom_complete ---completion chat -- positional@0 "${COMP_CWORD}" "$(__pbctl_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_pbctl_tokenize() {
    repeating_flags=()
    non_repeating_flags=(--jsonl --special-as-text --bos --count --version -h --help)
    repeating_options=()
    non_repeating_options=(--model -m)
    __pbctl_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    esac
}

_pbctl_models() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|pull|inspect|rm)
        # Offer subcommand argument completions
        "_pbctl_models_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list pull inspect rm' -- "${cur}"))
        ;;
    esac
}

_pbctl_models_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'table'$'\n''json'$'\n''name'
        return
        ;;
    esac
}

_pbctl_models_pull() {
    repeating_flags=()
    non_repeating_flags=(--copy --version -h --help)
    repeating_options=()
    non_repeating_options=(--name --output -o)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--name')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -f
        return
        ;;
    esac
}

_pbctl_models_inspect() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -f
        return
        ;;
    esac
}

_pbctl_models_rm() {
    repeating_flags=()
    non_repeating_flags=(--yes -y --version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options -1
}

_pbctl_adapters() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|add|inspect|diff|rm|merge)
        # Offer subcommand argument completions
        "_pbctl_adapters_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list add inspect diff rm merge' -- "${cur}"))
        ;;
    esac
}

_pbctl_adapters_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'table'$'\n''json'$'\n''name'
        return
        ;;
    esac
}

_pbctl_adapters_add() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--name --output -o)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--name')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -d
        return
        ;;
    esac
}

_pbctl_adapters_inspect() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--model -m --output -o)
    __pbctl_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -d
        return
        ;;
    esac
}

_pbctl_adapters_diff() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -d
        return
        ;;
    2)
        __pbctl_add_completions -d
        return
        ;;
    esac
}

_pbctl_adapters_rm() {
    repeating_flags=()
    non_repeating_flags=(--yes -y --version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options -1
}

_pbctl_adapters_merge() {
    repeating_flags=()
    non_repeating_flags=(--lorax-compat --force --version -h --help)
    repeating_options=(--adapter)
    non_repeating_options=(--model -m --weights --method --density --majority-sign --seed --type --out)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '--weights')
        return
        ;;
    '--method')
        __pbctl_add_completions -W 'linear'$'\n''ties'$'\n''dare_linear'$'\n''dare_ties'$'\n''magnitude_prune'$'\n''cat'$'\n''svd'
        return
        ;;
    '--density')
        return
        ;;
    '--majority-sign')
        __pbctl_add_completions -W 'total'$'\n''frequency'
        return
        ;;
    '--seed')
        return
        ;;
    '--type')
        __pbctl_add_completions -W 'f32'$'\n''f16'$'\n''bf16'$'\n''q8_0'$'\n''q4_0'$'\n''q4_1'
        return
        ;;
    '--out')
        __pbctl_add_completions -o plusdirs -fX '!*.@(gguf)'
        return
        ;;
    esac
}

_pbctl_engine() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    serve|logprobs|render-chat)
        # Offer subcommand argument completions
        "_pbctl_engine_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'serve logprobs render-chat' -- "${cur}"))
        ;;
    esac
}

_pbctl_engine_serve() {
    repeating_flags=()
    non_repeating_flags=(--local --no-prefix-cache --float32 --deterministic --lorax-compat --version -h --help)
    repeating_options=(--preloaded-adapter-ids)
    non_repeating_options=(--model -m --device --threads --context --kv-memory --max-batched-tokens --adapter-root --adapter-source --adapter-memory --adapter-host-memory --merge-adapter --host --port -p --api-key --served-model-name --max-concurrent-requests --max-batch-size --max-body-size --drain-timeout --ready-file)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--device')
        return
        ;;
    '--threads')
        return
        ;;
    '--context')
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--max-batched-tokens')
        return
        ;;
    '--adapter-root')
        __pbctl_add_completions -d
        return
        ;;
    '--adapter-source')
        __pbctl_add_completions -W 'local'$'\n''hub'$'\n''pbase'
        return
        ;;
    '--adapter-memory')
        return
        ;;
    '--adapter-host-memory')
        return
        ;;
    '--merge-adapter')
        __pbctl_add_completions -d
        return
        ;;
    '--preloaded-adapter-ids')
        return
        ;;
    '--host')
        return
        ;;
    '--port'|'-p')
        return
        ;;
    '--api-key')
        return
        ;;
    '--served-model-name')
        return
        ;;
    '--max-concurrent-requests')
        return
        ;;
    '--max-batch-size')
        return
        ;;
    '--max-body-size')
        return
        ;;
    '--drain-timeout')
        return
        ;;
    '--ready-file')
        __pbctl_add_completions -f
        return
        ;;
    esac
}

_pbctl_engine_logprobs() {
    repeating_flags=()
    non_repeating_flags=(--local --no-prefix-cache --float32 --deterministic --lorax-compat --version -h --help)
    repeating_options=(--adapter)
    non_repeating_options=(--model -m --device --threads --context --kv-memory --max-batched-tokens --top)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--device')
        return
        ;;
    '--threads')
        return
        ;;
    '--context')
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--max-batched-tokens')
        return
        ;;
    '--adapter')
        __pbctl_add_completions -d
        return
        ;;
    '--top')
        return
        ;;
    esac
}

_pbctl_engine_render-chat() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--model -m --template --date)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--template')
        __pbctl_add_completions -f
        return
        ;;
    '--date')
        return
        ;;
    esac
}

_pbctl_bench() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    engine|serve)
        # Offer subcommand argument completions
        "_pbctl_bench_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'engine serve' -- "${cur}"))
        ;;
    esac
}

_pbctl_bench_engine() {
    repeating_flags=()
    non_repeating_flags=(--local --no-prefix-cache --float32 --deterministic --version -h --help)
    repeating_options=()
    non_repeating_options=(--model -m --device --threads --context --kv-memory --max-batched-tokens --prompt-tokens --output-tokens --streams --repeats --output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--device')
        return
        ;;
    '--threads')
        return
        ;;
    '--context')
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--max-batched-tokens')
        return
        ;;
    '--prompt-tokens')
        return
        ;;
    '--output-tokens')
        return
        ;;
    '--streams')
        return
        ;;
    '--repeats')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac
}

_pbctl_bench_serve() {
    repeating_flags=()
    non_repeating_flags=(--stop-at-end --version -h --help)
    repeating_options=(--header)
    non_repeating_options=(--url --api --model --timeout --concurrency --rate --requests --duration --prompt-tokens --output-tokens --shared-prefix-tokens --warmup --seed --adapters --popularity --adapter-ids --adapter-prefix --adapter-root --adapter-source --output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--url')
        return
        ;;
    '--api')
        __pbctl_add_completions -W 'lorax'$'\n''openai'$'\n''chat'$'\n''llama'
        return
        ;;
    '--model')
        return
        ;;
    '--header')
        return
        ;;
    '--timeout')
        return
        ;;
    '--concurrency')
        return
        ;;
    '--rate')
        return
        ;;
    '--requests')
        return
        ;;
    '--duration')
        return
        ;;
    '--prompt-tokens')
        return
        ;;
    '--output-tokens')
        return
        ;;
    '--shared-prefix-tokens')
        return
        ;;
    '--warmup')
        return
        ;;
    '--seed')
        return
        ;;
    '--adapters')
        return
        ;;
    '--popularity')
        return
        ;;
    '--adapter-ids')
        return
        ;;
    '--adapter-prefix')
        return
        ;;
    '--adapter-root')
        __pbctl_add_completions -d
        return
        ;;
    '--adapter-source')
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'table'$'\n''json'
        return
        ;;
    esac
}

_pbctl_gpu() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    selftest|bench)
        # Offer subcommand argument completions
        "_pbctl_gpu_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'selftest bench' -- "${cur}"))
        ;;
    esac
}

_pbctl_gpu_selftest() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--device --model -m --output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--device')
        return
        ;;
    '--model'|'-m')
        __pbctl_add_completions -f
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac
}

_pbctl_gpu_bench() {
    repeating_flags=()
    non_repeating_flags=(--deterministic --no-graphs --version -h --help)
    repeating_options=()
    non_repeating_options=(--device --shape --batches --context --adapters --rank --prefill --steps --repeats --weights --kv-memory --products --output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--device')
        return
        ;;
    '--shape')
        __pbctl_add_completions -W '8b'$'\n''1b'$'\n''tiny'
        return
        ;;
    '--batches')
        return
        ;;
    '--context')
        return
        ;;
    '--adapters')
        return
        ;;
    '--rank')
        return
        ;;
    '--prefill')
        return
        ;;
    '--steps')
        return
        ;;
    '--repeats')
        return
        ;;
    '--weights')
        __pbctl_add_completions -W 'bf16'$'\n''f16'$'\n''f32'
        return
        ;;
    '--kv-memory')
        return
        ;;
    '--products')
        __pbctl_add_completions -W 'tried'$'\n''cublas'$'\n''own'
        return
        ;;
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac
}

_pbctl_doctor() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac
}

_pbctl_completions() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options 1

    # Offer positional completions
    case "${positional_number}" in
    1)
        __pbctl_add_completions -W 'bash'$'\n''zsh'$'\n''fish'
        return
        ;;
    esac
}

_pbctl_version() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--output -o)
    __pbctl_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--output'|'-o')
        __pbctl_add_completions -W 'text'$'\n''json'
        return
        ;;
    esac
}

_pbctl_help() {
    repeating_flags=()
    non_repeating_flags=(--version)
    repeating_options=()
    non_repeating_options=()
    __pbctl_offer_flags_options -1
}

complete -o filenames -F _pbctl pbctl
