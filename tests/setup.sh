#!/usr/bin/env bash
# Installs what `make test`, `make demo` and `make install` need on a Debian or Ubuntu machine that
# has Rust, and only what is missing. Where it may not, it prints the line to type and stops.
#
#   setup.sh build     what building the extension needs
#   setup.sh test      and what the tests drive beside it: pgbouncer, clients in Python and Node
#   setup.sh bench     what building needs, and pgaudit, with which `make bench` compares, if it can be had
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

PGRX_VERSION=0.18.1
what=${1:-test}

say() { echo "setup: $*"; }
stop() {
    echo "setup: cannot go on by itself. Type this, then try again:" >&2
    printf '    %s\n' "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# ---- Debian packages ----

installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

missing=()
need() {
    local package
    for package; do installed "$package" || missing+=("$package"); done
}

# The newest major that both pgrx and this distribution carry.
newest_major() {
    local major
    for major in 18 17 16 15; do
        if apt-cache show "postgresql-server-dev-$major" >/dev/null 2>&1; then echo $major; return; fi
    done
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo -n "$@"; fi
}
node_has_pg() {
    NODE_PATH=$NOTARY_CLIENTS/node/node_modules:/usr/share/nodejs node -e 'require("pg")' 2>/dev/null
}
may_be_root() { [[ $(id -u) -eq 0 ]] || { have sudo && sudo -n true 2>/dev/null; }; }

collect() {
    missing=()
    # A C compiler to link with, libclang to read PostgreSQL's headers.
    have cc || missing+=(gcc libc6-dev)
    need clang libclang-dev pkg-config libssl-dev
    have setpriv && have flock || missing+=(util-linux)
    if [[ -z $PG_MAJOR ]]; then
        local major
        major=$(newest_major)
        # Without package lists apt knows nothing; install_packages fetches them and asks again.
        if [[ -n $major ]]; then need "postgresql-$major" "postgresql-server-dev-$major"; else missing+=(postgresql-server-dev); fi
    fi
    if [[ $what == test ]]; then
        have pgbouncer || [[ -x /usr/sbin/pgbouncer ]] || missing+=(pgbouncer)
        /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
        # Debian's npm is three hundred packages, so it is not for us to bring in.
        node_has_pg || have npm || missing+=(nodejs node-pg)
    fi
}

install_packages() {
    collect
    [[ ${#missing[@]} -eq 0 ]] && return
    have apt-get || { say "this is no Debian or Ubuntu; it needs: ${missing[*]}" >&2; exit 1; }
    if ! may_be_root; then
        [[ ${missing[*]} == *postgresql-server-dev\ * || ${missing[*]} == *postgresql-server-dev ]] &&
            stop "sudo apt-get update"
        stop "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    as_root apt-get update -qq
    collect
    if [[ " ${missing[*]} " == *" postgresql-server-dev "* ]]; then
        say "this distribution has none of PostgreSQL 15 to 18: add the PostgreSQL project's own packages first" >&2
        exit 1
    fi
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    hash -r
}

# What is compared with only: without it a row of the table stays empty.
install_pgaudit() {
    local package=postgresql-$PG_MAJOR-pgaudit
    [[ ! -e $("$PG_CONFIG" --pkglibdir)/pgaudit.so ]] || return 0
    if have apt-get && may_be_root; then
        apt-cache show "$package" >/dev/null 2>&1 || as_root apt-get update -qq || true
        say "installing $package"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" && return
    fi
    say "$package cannot be installed: pgaudit is left out of the comparison"
}

# ---- Rust ----

check_rust() {
    have cargo || { say "cargo is not in PATH: install Rust with rustup first" >&2; exit 1; }
    local component
    for component in fmt clippy; do
        cargo $component --version >/dev/null 2>&1 || have rustup || stop "install cargo $component"
        cargo $component --version >/dev/null 2>&1 || rustup component add "${component/fmt/rustfmt}"
    done
}

install_pgrx() {
    [[ $(cargo pgrx --version 2>/dev/null) == "cargo-pgrx $PGRX_VERSION" ]] && return
    say "installing cargo-pgrx $PGRX_VERSION (a few minutes)"
    # Not into a target directory that the environment names: its build would mix with ours.
    env -u CARGO_TARGET_DIR cargo install cargo-pgrx --version "$PGRX_VERSION" --locked
}

tell_pgrx() {
    # With a PG_CONFIG of its own a build does not ask pgrx's list.
    [[ -z $(pgrx_knows "$PG_MAJOR") ]] || return 0
    say "telling pgrx of $PG_CONFIG"
    # --no-run: it need not make a cluster of its own.
    cargo pgrx init --no-run "--pg$PG_MAJOR" "$PG_CONFIG"
}

# ---- client libraries that the tests drive ----

install_clients() {
    local python=$NOTARY_CLIENTS/python node=$NOTARY_CLIENTS/node wanted=$NOTARY_ROOT/tests/clients
    if ! cmp -s "$wanted/requirements.txt" "$python/requirements.txt" || ! "$python/bin/python" -c ''; then
        say "installing Python clients"
        rm -rf "$python"
        mkdir -p "$NOTARY_CLIENTS"
        /usr/bin/python3 -m venv "$python"
        "$python/bin/pip" install --quiet --disable-pip-version-check -r "$wanted/requirements.txt"
        cp "$wanted/requirements.txt" "$python/"
    fi
    if ! node_has_pg; then
        say "installing Node clients"
        mkdir -p "$node"
        cp "$wanted/package.json" "$node/"
        (cd "$node" && npm install --silent --no-audit --no-fund --ignore-scripts)
    fi
}

install_packages
# A server may be there only now.
. "$NOTARY_ROOT/tests/env.sh"
[[ -n $PG_MAJOR ]] || { say "PG_CONFIG=${PG_CONFIG:-} is no PostgreSQL" >&2; exit 1; }
pg_is_complete "$PG_CONFIG" || stop "sudo apt-get install -y postgresql-$PG_MAJOR postgresql-server-dev-$PG_MAJOR"
check_rust
install_pgrx
tell_pgrx
if [[ $what == test ]]; then install_clients; fi
if [[ $what == bench ]]; then install_pgaudit; fi
