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
        '') options='--help --version' words='rebuild list lookup run check status trigger demo explain domains user rcptcheck qmail-spp-rcpt checkpassword spamdyke-rcpt sqmail-rcpt socketmap deliverabled dovecot-auth vpopmaild opensmtpd-table' ;;
        rebuild) options='--dry-run --summary --json --no-commands --force --quiet --own-settings --help' words='' asked='' files='' ;;
        list) options='--format --json --help' words='recipients logins' asked='' files='' ;;
        lookup) options='--json --help' words='' asked='addresses' files='' ;;
        run) options='--sweep --sql-sweep --hold --metrics --ready-fd --no-watch --help' words='' asked='' files='' ;;
        check) options='--json --accepted --all --quiet --nagios --help' words='' asked='' files='' ;;
        status) options='--json --help' words='' asked='' files='' ;;
        trigger) options='--verbose --help' words='' asked='' files='' ;;
        demo) options='--help' words='' asked='' files='' ;;
        explain) options='--json --help' words='' asked='addresses' files='' ;;
        domains) options='--held --open --json --help' words='' asked='domains' files='' ;;
        user) options='--json --help' words='' asked='users' files='' ;;
        rcptcheck) options='--then --help' words='' asked='' files='' ;;
        qmail-spp-rcpt) options='--help' words='' asked='' files='' ;;
        checkpassword) options='--help' words='' asked='' files=yes ;;
        spamdyke-rcpt) options='--help' words='' asked='' files='' ;;
        sqmail-rcpt) options='--help' words='' asked='' files='' ;;
        socketmap) options='--help' words='' asked='' files='' ;;
        deliverabled) options='--help' words='' asked='' files='' ;;
        dovecot-auth) options='--help' words='' asked='' files='' ;;
        vpopmaild) options='--help' words='' asked='' files='' ;;
        opensmtpd-table) options='--help' words='' asked='' files=yes ;;
        *) return ;;
        esac
        [[ $command == rebuild && $option == --force ]] && asked=domains
        [[ $word == -* ]] && words="$options --root --settings --qmail --vpopmail --users-cdb --validrcptto --auth --sqmail-recipients --sagredo-recipients --fifo --state --backend --sql --valias --break --vpopmail-ext --catchall-delete --auth-owner --auth-system-users --after --actions --max-loss --max-file --max-names --max-read --max-steps --max-entries --max-alike --max-wait --threads --color" asked= files=
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
        --accepted) files=yes ;;
        --actions) files=directories ;;
        --after) files=yes ;;
        --auth) files=yes ;;
        --auth-owner) : ;;
        --backend) words='auto cdb mysql pgsql sqlite' ;;
        --break) : ;;
        --catchall-delete) words='refuse accept' ;;
        --color) words='auto always never' ;;
        --fifo) files=yes ;;
        --force) asked=domains ;;
        --format) words='text cdbmake passwd-file' ;;
        --hold) : ;;
        --max-alike) : ;;
        --max-entries) : ;;
        --max-file) : ;;
        --max-loss) : ;;
        --max-names) : ;;
        --max-read) : ;;
        --max-steps) : ;;
        --max-wait) : ;;
        --metrics) files=yes ;;
        --qmail) files=directories ;;
        --ready-fd) : ;;
        --root) files=directories ;;
        --sagredo-recipients) files=yes ;;
        --settings) files=directories ;;
        --sql) files=yes ;;
        --sql-sweep) : ;;
        --sqmail-recipients) files=yes ;;
        --state) files=directories ;;
        --sweep) : ;;
        --then) files=yes ;;
        --threads) : ;;
        --users-cdb) : ;;
        --valias) words='yes no' ;;
        --validrcptto) files=yes ;;
        --vpopmail) files=directories ;;
        *) return 1 ;;
    esac
    return 0
}

complete -F _qmail_updater qmail-updater
