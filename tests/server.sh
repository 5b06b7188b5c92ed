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

# Starts a server in the directory $home, which it fills; its further settings come from standard input.
start_in_home() {
    cp -a "$NOTARY_STAGE/template" "$home/data"
    { printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$home"; cat; } >>"$home/data/postgresql.conf"
    touch "$home/log"
    chmod 0711 "$home"
    if [[ $(id -u) -eq 0 ]]; then chown postgres:postgres "$home" "$home/log"; fi
    cd "$home"
    server pg_ctl -D "$home/data" -l "$home/log" -w start >/dev/null
}

# Ends it, if it runs, and removes the directory.
remove_home() {
    [[ ! -e $home/data/postmaster.pid ]] || server pg_ctl -D "$home/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$home"
}
