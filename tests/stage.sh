#!/usr/bin/env bash
# Builds the extension and puts it into a private copy of the server, so that neither tests nor demo
# write into the system's directories. PostgreSQL finds its libraries and its share directory
# relative to its programs, so a copy that keeps the paths below another root is a server of its own.
# Says nothing when there is nothing to do.
set -euo pipefail
umask 022
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$NOTARY_ROOT"

die() { echo "stage: $*" >&2; exit 1; }
[[ -n $PG_MAJOR ]] || die "no PostgreSQL 15 to 18 with its headers was found: run make setup, or give PG_CONFIG=…"
[[ $PG_MAJOR -ge 15 && $PG_MAJOR -le 18 ]] || die "$PG_CONFIG is PostgreSQL $PG_MAJOR; 15 to 18 are supported"

# The place is known to everyone on this machine: take it only if it is ours, and no link.
base=$(dirname "$NOTARY_STAGE")
mkdir -m 0755 "$base" 2>/dev/null || true
[[ -d $base && ! -L $base && -O $base ]] || die "$base is not a directory of user $(id -un): remove it"
chmod 0755 "$base"
mkdir -p "$NOTARY_STAGE"
exec 9>"$NOTARY_STAGE/lock"
flock 9

# PostgreSQL refuses to run as root.
as_server() {
    if [[ $(id -u) -eq 0 ]]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi
}

bindir=$("$PG_CONFIG" --bindir)
pkglibdir=$("$PG_CONFIG" --pkglibdir)
sharedir=$("$PG_CONFIG" --sharedir)

copy_server() {
    local server dir
    server=$(stat -Lc '%n %s %Y' "$bindir/postgres" "$sharedir" "$pkglibdir"/pgxs/src/test/isolation/isolationtester 2>/dev/null || true)
    [[ $server == "$(cat "$NOTARY_STAGE/server" 2>/dev/null)" ]] && return
    rm -rf "$NOTARY_STAGE"/{root,bin,template,server,extension}
    for dir in "$bindir" "$pkglibdir" "$sharedir"; do
        # Where one lies in another, it came along.
        [[ -e $NOTARY_STAGE/root$dir ]] && continue
        mkdir -p "$NOTARY_STAGE/root$(dirname "$dir")"
        cp -RL --preserve=mode,timestamps "$dir" "$NOTARY_STAGE/root$dir"
    done
    chmod -R u+w,go+rX "$NOTARY_STAGE/root"
    ln -s "root$bindir" "$NOTARY_STAGE/bin"
    [[ $("$NOTARY_STAGE/bin/postgres" --version) == "$("$bindir/postgres" --version)" ]] ||
        die "the copy of $bindir does not run"
    echo "$server" >"$NOTARY_STAGE/server"
}

# Contents, not times: a checkout of another commit may bring older files.
sources() {
    {
        rustc --version
        cargo pgrx --version
        find src sql .cargo Cargo.toml Cargo.lock pg_notary.control -type f -print0 2>/dev/null |
            sort -z | xargs -0 sha256sum
    } | sha256sum
}

put_extension() {
    local now
    now=$(sources)
    [[ $now == "$(cat "$NOTARY_STAGE/extension" 2>/dev/null)" ]] && return
    rm -f "$NOTARY_STAGE/extension"
    echo "building pg_notary for PostgreSQL $PG_MAJOR (about two minutes the first time)"
    # shellcheck disable=SC2086
    cargo pgrx package --pg-config "$PG_CONFIG" --out-dir "$NOTARY_STAGE/root" $PG_FEATURES 9>&-
    chmod -R go+rX "$NOTARY_STAGE/root"
    # What auditors use, for the demo.
    cargo build --release -p notary-core --bin notary-verify 9>&-
    # As it was before the build: what was edited meanwhile is built next time.
    echo "$now" >"$NOTARY_STAGE/extension"
}

# A second copy, whose library can leave out single checks of verification: it shows that tests of tampering notice.
put_omitting() {
    local target=$NOTARY_STAGE/omitting
    [[ -f $target/extension && $(cat "$target/extension") == $(cat "$NOTARY_STAGE/extension") ]] && return
    echo "building pg_notary once more, for the tests of the tests"
    rm -rf "$target"
    mkdir -p "$target/run"
    cp -al "$NOTARY_STAGE/root" "$target/root"
    ln -s "root$bindir" "$target/bin"
    cp -a "$NOTARY_STAGE/template" "$target/template"
    # shellcheck disable=SC2086
    cargo build --lib $PG_FEATURES --features omissions 9>&-
    # Not over the file, which the first copy shares.
    rm "$target/root$pkglibdir/pg_notary.so"
    cp "$NOTARY_TARGET/debug/libpg_notary.so" "$target/root$pkglibdir/pg_notary.so"
    chmod go+rX "$target" "$target/root$pkglibdir/pg_notary.so"
    cp "$NOTARY_STAGE/extension" "$target/extension"
}

# An empty cluster that tests copy: faster than an initdb each.
make_template() {
    [[ -f $NOTARY_STAGE/template/PG_VERSION ]] && return
    local new=$NOTARY_STAGE/template.new
    rm -rf "$new"
    mkdir -m 0700 "$new"
    if [[ $(id -u) -eq 0 ]]; then chown postgres:postgres "$new"; fi
    as_server "$NOTARY_PGROOT/initdb" -D "$new" -U postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync >"$NOTARY_STAGE/initdb.log" 2>&1 9>&- ||
        { cat "$NOTARY_STAGE/initdb.log" >&2; die "initdb failed"; }
    mv "$new" "$NOTARY_STAGE/template"
}

copy_server
# `server` only: what the harness itself needs, without the extension.
[[ ${1:-} == server ]] || put_extension
make_template
[[ ${1:-} != omitting ]] || put_omitting
mkdir -p "$NOTARY_STAGE/run"
