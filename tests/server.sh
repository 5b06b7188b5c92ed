# Sourced by the scripts that start a throw-away server, after env.sh.

# A program of the private server, as the user whom PostgreSQL accepts: it refuses root.
server() {
    local program=$1
    shift
    if [[ $(id -u) -eq 0 ]]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$NOTARY_PGROOT/$program" "$@"
    else
        "$NOTARY_PGROOT/$program" "$@"
    fi
}
