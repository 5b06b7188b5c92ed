# psycopg 3: an application's events as it has them, with parameters. What it prints is compared with expected/.
import json
import uuid
from datetime import datetime, timezone

import psycopg
from psycopg.types.json import Json, Jsonb

COLUMNS = """action, actor, actor_role, resource_type, resource_id, resource_name, result, ip::text, user_agent,
    session_id, request_id, occurred_at, pii, pii_fields, old_value, new_value, details, tags"""


def say(what, *result):
    print(what + ":", *result)


def show(conn, what, event_id):
    cur = conn.execute(f"SELECT {COLUMNS} FROM app_audit WHERE id = %s", [event_id])
    row = zip([c.name for c in cur.description], cur.fetchone())
    said = {name: value for name, value in row if value is not None}
    say(what, json.dumps(said, sort_keys=True, default=str))


def refused(conn, what, query, params):
    try:
        with conn.transaction():
            conn.execute(query, params)
    except psycopg.Error as e:
        say(what, type(e).__name__, e.sqlstate, "|", e.diag.message_primary, "|", e.diag.message_hint)
    else:
        say(what, "WORKED")


conn = psycopg.connect(autocommit=True)
conn.execute("SET timezone = 'UTC'")
event_id = uuid.UUID("6f1c2b1e-0a0b-4c0d-8e0f-00112233aabb")

# ---- a change of an entity ----
change = {
    "timestamp": datetime(2026, 11, 20, 16, 7, tzinfo=timezone.utc).isoformat(),
    "event_type": "account.update",
    "actor": "alice@example.com",
    "entity_type": "account",
    "entity_id": 42,
    "old_value": {"limit": 10},
    "new_value": {"limit": 20},
    "context": {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0", "session_id": "s1", "region": "eu"},
}
(made,) = conn.execute("SELECT notary.log_event(%s)", [Jsonb(change)]).fetchone()
show(conn, "shape 1", made)

# ---- an actor, an action and a resource ----
access = {
    "eventId": str(event_id),
    "timestamp": "2026-11-20T16:07:00.123Z",
    "actor": {"userId": "u1", "email": "a@example.com", "role": "admin", "ipAddress": "2001:db8::7"},
    "action": "customer.pii.export",
    "resource": {"type": "customer", "id": "c1", "name": "O'Brien & \"Sons\""},
    "result": "denied",
    "pii_fields": ["email", "phone"],
    "details": {"rows": 10},
}
(made,) = conn.execute("SELECT notary.log_event('app_audit', %s)", [Jsonb(access)]).fetchone()
say("its own id", made == event_id)
show(conn, "shape 2", made)

# ---- a type and data, from a library that serialises by itself ----
data = {"event_type": "order.created", "event_data": {"time": 1763654820, "user": {"id": 7}, "resource": {"type": "order", "id": 8},
        "amount": "10.00", "tags": ["new", "eu"]}}
(made,) = conn.execute("SELECT notary.log_event(%s::jsonb)", [json.dumps(data)]).fetchone()
show(conn, "shape 3", made)
(made,) = conn.execute("SELECT notary.log_event(%b::text::jsonb)", [json.dumps(data)]).fetchone()
say("by binary parameters", type(made).__name__)

# ---- many at once ----
ids = conn.execute("SELECT * FROM notary.log_events(%s)", [Jsonb([{"action": f"step {n}"} for n in range(100)])]).fetchall()
say("log_events", len(ids), len(set(ids)))

# ---- the context of a request ----
with conn.transaction():
    conn.execute("SELECT notary.set_context(actor => %s, ip => %s, request_id => %s)", ["ann", "198.51.100.9", "req-1"])
    (made,) = conn.execute("INSERT INTO app_audit (action) VALUES (%s) RETURNING id", ["login"]).fetchone()
say("context", conn.execute("SELECT actor, ip, request_id, db_user = current_user FROM app_audit WHERE id = %s", [made]).fetchone())
(made,) = conn.execute("INSERT INTO app_audit (action) VALUES (%s) RETURNING id", ["login"]).fetchone()
say("afterwards", conn.execute("SELECT actor = current_user, ip, request_id FROM app_audit WHERE id = %s", [made]).fetchone())

# ---- a prepared statement, a pipeline, COPY ----
with conn.pipeline():
    for n in range(20):
        conn.execute("SELECT notary.log_event(%s)", [Jsonb({"action": "pipelined", "n": n})], prepare=True)
with conn.cursor().copy("COPY app_audit (action, actor, db_user, details) FROM STDIN") as copy:
    for n in range(20):
        copy.write_row(["copied", "ann", "liar", Json({"n": n})])
say("pipeline and COPY", conn.execute(
    "SELECT action, count(*), bool_and(db_user = current_user) FROM app_audit WHERE action IN ('pipelined', 'copied') GROUP BY 1 ORDER BY 1"
).fetchall())

# ---- what is refused ----
refused(conn, "no action", "SELECT notary.log_event(%s)", [Jsonb({"actor": "ann"})])
refused(conn, "a bad address", "SELECT notary.log_event(%s)", [Jsonb({"action": "a", "actor": {"ipAddress": "here"}})])
refused(conn, "the same id", "SELECT notary.log_event(%s)", [Jsonb(access)])
refused(conn, "UPDATE", "UPDATE app_audit SET actor = %s", ["nobody"])
