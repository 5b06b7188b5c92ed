# SQLAlchemy 2 on psycopg, and Alembic, as an ordinary role that owns the log. What it prints is compared with expected/.
import datetime

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import FetchedValue, MetaData, Table, create_engine, func, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("postgresql+psycopg://")


def say(what, *result):
    print(what + ":", *result)


def refused(what, work):
    try:
        with Session(engine) as session:
            work(session)
            session.commit()
    except DBAPIError as e:
        say(what, type(e).__name__, e.orig.sqlstate, "|", e.orig.diag.message_primary)
    else:
        say(what, "WORKED")


class Base(DeclarativeBase):
    pass


class Audit(Base):
    __tablename__ = "app_audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    actor: Mapped[str]
    action: Mapped[str]
    details: Mapped[dict | None] = mapped_column(JSONB)
    at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())


Base.metadata.create_all(engine)
with engine.begin() as connection:
    connection.execute(text("SELECT notary.protect('app_audit')"))

# ---- ORM ----
with Session(engine) as session:
    entry = Audit(actor="ann", action="login", details={"ip": "192.0.2.7"})
    session.add(entry)
    session.commit()
    say("add", entry.id, entry.at is not None)
    session.add_all([Audit(actor="bob", action=f"step {n}") for n in range(100)])
    session.commit()
    say("add_all", session.scalar(select(func.count()).where(Audit.actor == "bob")))
    ids = session.scalars(
        insert(Audit).returning(Audit.id), [{"actor": "eve", "action": f"step {n}"} for n in range(100)]
    ).all()
    session.commit()
    say("bulk insert with RETURNING", len(ids))
    session.execute(
        pg_insert(Audit).values(id=1, actor="x", action="x").on_conflict_do_nothing(index_elements=["id"])
    )
    session.commit()
    say("on_conflict_do_nothing", session.get(Audit, 1).actor)

    with session.begin_nested() as savepoint:
        session.add(Audit(actor="carl", action="never"))
        session.flush()
        savepoint.rollback()
    session.add(Audit(actor="carl", action="kept"))
    session.commit()
    say("savepoint", session.scalars(select(Audit.action).where(Audit.actor == "carl")).all())


# ---- the entry's place and hash, read back with the INSERT ----
class AuditWithPlace(Base):
    __table__ = Table(
        "app_audit",
        MetaData(),
        *(column.copy() for column in Audit.__table__.columns),
        mapped_column("notary_chain", server_default=FetchedValue()).column,
        mapped_column("notary_seq", server_default=FetchedValue()).column,
    )
    __mapper_args__ = {"eager_defaults": True}


with Session(engine) as session:
    entry = AuditWithPlace(actor="ann", action="logout")
    session.add(entry)
    session.flush()
    say("place", entry.notary_chain, entry.notary_seq)
    session.commit()

# ---- what is refused ----
def change(session):
    session.get(Audit, 1).actor = "x"


refused("changed object", change)
refused("deleted object", lambda session: session.delete(session.get(Audit, 1)))
upsert = pg_insert(Audit).values(id=1, actor="x", action="x")
upsert = upsert.on_conflict_do_update(index_elements=["id"], set_={"actor": upsert.excluded.actor})
refused("upsert", lambda session: session.execute(upsert))

# ---- reflection ----
reflected = Table("app_audit", MetaData(), autoload_with=engine)
say("reflected", " ".join(reflected.columns.keys()))
with engine.begin() as connection:
    connection.execute(reflected.insert(), {"actor": "dan", "action": "reflected"})
    connection.execute(reflected.insert(), dict.fromkeys(reflected.columns.keys()) | {
        "id": 9000, "actor": "dan", "action": "all columns, None", "at": datetime.datetime(2026, 1, 1)})
Automapped = automap_base()
Automapped.prepare(autoload_with=engine)
with Session(engine) as session:
    session.add(Automapped.classes.app_audit(actor="dan", action="automap"))
    session.commit()
say("inserted through reflection", "worked")

# ---- Alembic ----
with engine.connect() as connection:
    diff = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    say("autogenerate would", sorted({f"{d[0]} {d[3].name}" for d in diff if d[0] == "remove_column"}),
        sorted({d[0] for d in diff if d[0] != "remove_column"}))


def include_object(object, name, type_, reflected, compare_to):
    return not (reflected and compare_to is None and (name or "").startswith("notary_")
                or type_ == "unique_constraint" and "notary_chain" in object.columns)


with engine.connect() as connection:
    context = MigrationContext.configure(connection, opts={"include_object": include_object})
    say("autogenerate with include_object would", compare_metadata(context, Base.metadata))

with engine.connect() as connection:
    log, intact, entries = connection.execute(
        text("SELECT log::text, intact, entries FROM notary.verify('app_audit')")
    ).one()
    say("verify", log, "intact" if intact else "DAMAGED", entries)
