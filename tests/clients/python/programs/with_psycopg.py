# psycopg 3, as an ordinary role that owns the log. What it prints is compared with expected/.
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

TABLE = """
    CREATE TABLE app_audit (
        id bigserial PRIMARY KEY, actor text NOT NULL, action text NOT NULL, details jsonb,
        at timestamptz NOT NULL DEFAULT now())
"""


def say(what, *result):
    print(what + ":", *result)


def refused(what, work):
    try:
        with conn.transaction():
            work()
    except psycopg.Error as e:
        say(what, type(e).__name__, e.sqlstate, "|", e.diag.message_primary)
    else:
        say(what, "WORKED")


conn = psycopg.connect(autocommit=True)
before = psycopg.connect(autocommit=True)
conn.execute(TABLE)
before.execute("SELECT * FROM app_audit", prepare=True)
conn.execute("SELECT notary.protect('app_audit')")

# ---- a statement that was prepared before the columns came ----
try:
    before.execute("SELECT * FROM app_audit", prepare=True)
    say("SELECT * prepared before protect", "WORKED")
except psycopg.errors.FeatureNotSupported as e:
    say("SELECT * prepared before protect", e.sqlstate, "|", e.diag.message_primary)

# ---- one row ----
row = conn.execute(
    "INSERT INTO app_audit (actor, action, details) VALUES (%s, %s, %s) RETURNING id, notary_hash",
    ("ann", "login", Jsonb({"ip": "192.0.2.7"})),
).fetchone()
say("INSERT … RETURNING", row[0], len(row[1]), "bytes of hash")

# ---- many ----
with conn.cursor() as cur:
    cur.executemany(
        "INSERT INTO app_audit (actor, action) VALUES (%s, %s) RETURNING id",
        [("bob", "read"), ("bob", "write"), ("bob", "logout")],
        returning=True,
    )
    ids = [cur.fetchone()[0]]
    while cur.nextset():
        ids.append(cur.fetchone()[0])
say("executemany", ids)

with conn.pipeline(), conn.transaction():
    for n in range(50):
        conn.execute("INSERT INTO app_audit (actor, action) VALUES (%s, %s)", ("eve", f"step {n}"))
say("pipeline", conn.execute("SELECT count(*) FROM app_audit WHERE actor = 'eve'").fetchone()[0])

# ---- COPY ----
with conn.cursor() as cur:
    with cur.copy("COPY app_audit (actor, action) FROM STDIN") as copy:
        for n in range(1000):
            copy.write_row(("copy", f"row {n}"))
    say("COPY with a column list", cur.rowcount)

with conn.cursor() as cur:
    with cur.copy("COPY app_audit (actor, action) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["text", "text"])
        copy.write_row(("copy", "binary"))
    say("COPY in binary", cur.rowcount)


def copy_without_list():
    with conn.cursor() as cur, cur.copy("COPY app_audit FROM STDIN") as copy:
        copy.write_row((5000, "copy", "without a list", None, "2026-01-01"))


refused("COPY without a column list", copy_without_list)

# ---- what is refused ----
refused("UPDATE", lambda: conn.execute("UPDATE app_audit SET actor = 'x'"))
refused("DELETE", lambda: conn.execute("DELETE FROM app_audit"))
refused(
    "upsert",
    lambda: conn.execute(
        "INSERT INTO app_audit (id, actor, action) VALUES (1, 'x', 'x') "
        "ON CONFLICT (id) DO UPDATE SET actor = excluded.actor"
    ),
)
refused(
    "own notary_* values",
    lambda: conn.execute("INSERT INTO app_audit (actor, action, notary_seq) VALUES ('x', 'x', 7)"),
)

# ---- what is not ----
cur = conn.execute(
    "INSERT INTO app_audit (id, actor, action) VALUES (1, 'x', 'x') ON CONFLICT (id) DO NOTHING"
)
say("ON CONFLICT DO NOTHING", cur.rowcount)
conn.execute(
    "INSERT INTO app_audit (actor, action, notary_chain, notary_seq, notary_time, notary_prev, notary_hash) "
    "VALUES ('null', 'null', NULL, NULL, NULL, NULL, NULL)"
)
say("explicit NULLs", "worked")

with conn.transaction():
    conn.execute("INSERT INTO app_audit (actor, action) VALUES ('ann', 'kept')")
    try:
        with conn.transaction():
            conn.execute("INSERT INTO app_audit (actor, action) VALUES ('ann', 'rolled back')")
            raise psycopg.Rollback
    except psycopg.Rollback:
        pass
    conn.execute("INSERT INTO app_audit (actor, action) VALUES ('ann', 'kept too')")
say("savepoints", [r[0] for r in conn.execute("SELECT action FROM app_audit WHERE action ~ 'kept|rolled' ORDER BY id")])

two_phase = psycopg.connect()
two_phase.tpc_begin("audit-1")
two_phase.execute("INSERT INTO app_audit (actor, action) VALUES ('tpc', 'prepared')")
two_phase.tpc_prepare()
two_phase.tpc_commit()
say("two-phase commit", conn.execute("SELECT count(*) FROM app_audit WHERE actor = 'tpc'").fetchone()[0])

# ---- reading ----
reader = psycopg.connect(row_factory=dict_row)
with reader.cursor(name="page") as cur:
    cur.execute("SELECT * FROM app_audit ORDER BY id")
    say("server-side cursor", len(cur.fetchmany(100)), "of", 100 + len(cur.fetchall()))

log, intact, entries = conn.execute("SELECT log, intact, entries FROM notary.verify('app_audit')").fetchone()
say("verify", log, "intact" if intact else "DAMAGED", entries)
