# Completion of qmail-updater for bash. `cargo run --example pages` writes it from what can be typed.

_qmail_updater() {
    local cur=${COMP_WORDS[COMP_CWORD]} line=${COMP_LINE:0:COMP_POINT}
    local word=${line##*[[:space:]]} given command= option= wants=
    local options= words= asked= files=
    # The words before, as the shell takes them: bash itself cuts at "=" and "@".
    read -ra given <<<"${line:0:${#line}-${#word}}"
    for given in "${given[@]:1}"; do
        if [[ -n $wants ]]; then
            wants=
        elif [[ $given == --*=* ]]; then
            :
        elif [[ $given == -* ]]; then
            option=$given
            _qmail_updater_value "$given" && [[ $given != --force ]] && wants=$given
        elif [[ -z $command ]]; then
            command=$given
        fi
    done
    COMPREPLY=()
    if [[ -n $wants ]]; then
        options= words= asked= files=
        _qmail_updater_value "$wants"
    elif [[ $word == --*=* ]]; then
        options= words= asked= files=
        _qmail_updater_value "${word%%=*}" || return
        word=${word#*=}
        [[ $cur == = ]] && cur=
    else
        words= files=
        case $command in
        '') options='--help --version' words='@NAMES@' ;;
        @COMMANDS@
        *) return ;;
        esac
        [[ $command == rebuild && $option == --force ]] && asked=domains
        [[ $word == -* ]] && words="$options @GLOBAL@" asked= files=
    fi
    if [[ -n $asked ]]; then
        # What bash does not replace, because it takes an "@" for the begin of a word.
        local found before=
        [[ $COMP_WORDBREAKS == *@* && $word == *@* ]] && before=${word%@*}
        while IFS= read -r found; do
            COMPREPLY+=("${found#"$before"}")
        done < <("${COMP_WORDS[0]}" complete "$asked" "$word" 2>/dev/null)
    elif [[ $files == directories ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    elif [[ -n $files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}

# Whether the option takes a value, and which.
_qmail_updater_value() {
    case $1 in
        @VALUES@
        *) return 1 ;;
    esac
    return 0
}

complete -F _qmail_updater qmail-updater
