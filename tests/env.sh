# Sourced by the Makefile and by tests/*.sh, and by hand before a `cargo test -p notary-tests`.
# Which PostgreSQL to build for, and where its private copy for the tests lives.
#
#   PG_CONFIG        the server to build for: taken from the environment, else what
#                    `cargo pgrx init` knows, else the newest under /usr/lib/postgresql
#   PG_MAJOR         15, 16, 17 or 18; empty as long as no server is there
#   PG_FEATURES      the arguments that make cargo build for that major
#   NOTARY_STAGE     the private copy of that server, one for each checkout (see stage.sh)
#   NOTARY_PGROOT    the copy's programs
#   NOTARY_TARGET    where cargo builds, as an absolute path
#   NOTARY_CLIENTS   client libraries of other languages that the tests drive

NOTARY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PGRX_CONFIG=${PGRX_HOME:-$HOME/.pgrx}/config.toml

# What `cargo pgrx init` wrote down for major $1.
pgrx_knows() {
    [[ -r $PGRX_CONFIG ]] && sed -n "s/^pg$1 *= *\"\(.*\)\" *\$/\1/p" "$PGRX_CONFIG"
}

# Programs and headers are two packages: a server without headers cannot be built for.
pg_is_complete() {
    local bindir includedir
    [[ -x $1 ]] && bindir=$("$1" --bindir 2>/dev/null) && includedir=$("$1" --includedir-server) &&
        [[ -x $bindir/initdb && -r $includedir/postgres.h ]]
}

find_pg_config() {
    local major candidate
    for major in 18 17 16 15; do
        candidate=$(pgrx_knows $major)
        if pg_is_complete "$candidate"; then echo "$candidate"; return; fi
    done
    for major in 18 17 16 15; do
        candidate=/usr/lib/postgresql/$major/bin/pg_config
        if pg_is_complete "$candidate"; then echo "$candidate"; return; fi
    done
}

PG_CONFIG=${PG_CONFIG:-$(find_pg_config)}
PG_MAJOR=
if [[ -n $PG_CONFIG ]]; then
    PG_MAJOR=$("$PG_CONFIG" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
fi
PG_FEATURES="--no-default-features --features pg$PG_MAJOR"

# A change of this variable rebuilds pgrx's bindings, so it is set only where it says something new.
unset PGRX_PG_CONFIG_PATH
if [[ -n $PG_CONFIG && $PG_CONFIG != "$(pgrx_knows "$PG_MAJOR")" ]]; then
    export PGRX_PG_CONFIG_PATH=$PG_CONFIG
fi

# User postgres may not be able to read the checkout, and a socket's path is short: hence /tmp.
# Two checkouts, or two servers, do not meet.
NOTARY_STAGE=${NOTARY_TMP:-/tmp}/pg_notary.$(id -u)/$(printf '%s' "$NOTARY_ROOT $PG_CONFIG" | sha256sum | head -c 12)-pg$PG_MAJOR
NOTARY_PGROOT=$NOTARY_STAGE/bin

NOTARY_TARGET=${CARGO_TARGET_DIR:-target}
[[ $NOTARY_TARGET == /* ]] || NOTARY_TARGET=$NOTARY_ROOT/$NOTARY_TARGET
NOTARY_CLIENTS=$NOTARY_TARGET/clients

export PG_CONFIG PG_MAJOR PG_FEATURES NOTARY_TARGET NOTARY_STAGE NOTARY_PGROOT NOTARY_CLIENTS
