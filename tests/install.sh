#!/usr/bin/env bash
# Builds the extension and copies its three files into the server that PG_CONFIG names.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$NOTARY_ROOT"

out=$NOTARY_TARGET/package-pg$PG_MAJOR
rm -rf "$out"
# Built as who we are, so that nothing of root's is left in the checkout.
# shellcheck disable=SC2086
cargo pgrx package --pg-config "$PG_CONFIG" --out-dir "$out" $PG_FEATURES

libdir=$("$PG_CONFIG" --pkglibdir)
extdir=$("$PG_CONFIG" --sharedir)/extension
as_root=()
if [[ ! -w $libdir || ! -w $extdir ]]; then
    if command -v sudo >/dev/null; then
        as_root=(sudo)
    else
        echo "install: may not write to $libdir and $extdir. Type this as root:" >&2
        echo "    install -m 0755 $out$libdir/pg_notary.so $libdir/ && install -m 0644 $out$extdir/pg_notary* $extdir/" >&2
        exit 1
    fi
fi
# A new file, not new contents: running servers have the old library mapped.
"${as_root[@]}" install -m 0755 "$out$libdir"/pg_notary.so "$libdir/"
"${as_root[@]}" install -m 0644 "$out$extdir"/pg_notary* "$extdir/"
echo "installed into PostgreSQL $PG_MAJOR ($extdir). Next, in psql: CREATE EXTENSION pg_notary;"
