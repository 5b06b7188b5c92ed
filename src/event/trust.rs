//! Which event logs reports may ask when nobody named them: those that can run nobody's code with the reader's rights.
//!
//! Invariants:
//! * The question itself runs none: catalogs are read, expressions are never made ready.
//! * What is answered holds to the end of the transaction but for indexes, statistics and children that the owner adds: what
//!   these can run, they run in the planner alone, which has no rights by then (`pg::planner`).
//! * No other role keeps a reader waiting: a log of somebody else's that is locked is left out.

use crate::error::{Error, OrRaise as _};
use crate::pg::{catalog, compat, context, lock, planner, spi};
use pgrx::{pg_extern, pg_sys};
use std::collections::HashSet;
use std::ffi::CString;

/// What speaks against any of these tables ($1), for this reader ($2). A log of a superuser's, or of the reader's own, may do
/// what it likes; membership is not enough, since a role that administers others is a member of them. All others may not have
/// row-level security (its conditions may call what runs SQL), rules, or foreign tables; and what the planner looks at may
/// use PostgreSQL's own objects, which pg_depend does not list, and those of superusers and of the reader.
const AGAINST: &str = "
    WITH trusted AS (SELECT r.oid FROM pg_catalog.pg_authid AS r WHERE r.rolsuper OR r.oid = $2),
    member AS (
        SELECT c.oid, c.relkind, c.relrowsecurity,
               pg_catalog.format('%s belongs to %I and ', c.oid::pg_catalog.regclass, pg_catalog.pg_get_userbyid(c.relowner)) AS who
        FROM pg_catalog.pg_class AS c
        WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND NOT EXISTS (SELECT FROM trusted AS t WHERE t.oid = c.relowner)),
    part (member, who, classid, objid, objsubid) AS (
        -- A partitioned table has the objects of its key.
        SELECT m.oid, m.who, 'pg_catalog.pg_class'::pg_catalog.regclass, m.oid, 0 FROM member AS m
        UNION ALL
        SELECT m.oid, m.who, 'pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum
        FROM member AS m JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.oid WHERE a.attgenerated <> ''
        UNION ALL
        SELECT m.oid, m.who, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, 0
        FROM member AS m JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = m.oid
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> ''
        UNION ALL
        SELECT m.oid, m.who, 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid, 0
        FROM member AS m JOIN pg_catalog.pg_index AS x ON x.indrelid = m.oid
        UNION ALL
        SELECT m.oid, m.who, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0
        FROM member AS m JOIN pg_catalog.pg_constraint AS k ON k.conrelid = m.oid WHERE k.contype = 'c'
        UNION ALL
        SELECT m.oid, m.who, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0
        FROM member AS m JOIN pg_catalog.pg_statistic_ext AS s ON s.stxrelid = m.oid),
    used AS (
        SELECT p.who, d.refclassid, d.refobjid, CASE d.refclassid
            WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass
                THEN (SELECT o.proowner FROM pg_catalog.pg_proc AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass
                THEN (SELECT o.oprowner FROM pg_catalog.pg_operator AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_opclass'::pg_catalog.regclass
                THEN (SELECT o.opcowner FROM pg_catalog.pg_opclass AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_opfamily'::pg_catalog.regclass
                THEN (SELECT o.opfowner FROM pg_catalog.pg_opfamily AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_type'::pg_catalog.regclass
                THEN (SELECT o.typowner FROM pg_catalog.pg_type AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_collation'::pg_catalog.regclass
                THEN (SELECT o.collowner FROM pg_catalog.pg_collation AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_ts_config'::pg_catalog.regclass
                THEN (SELECT o.cfgowner FROM pg_catalog.pg_ts_config AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_ts_dict'::pg_catalog.regclass
                THEN (SELECT o.dictowner FROM pg_catalog.pg_ts_dict AS o WHERE o.oid = d.refobjid)
            WHEN 'pg_catalog.pg_class'::pg_catalog.regclass
                THEN (SELECT o.relowner FROM pg_catalog.pg_class AS o WHERE o.oid = d.refobjid) END AS owner
        FROM part AS p JOIN pg_catalog.pg_depend AS d
          ON d.classid = p.classid AND d.objid = p.objid AND d.objsubid = p.objsubid
        -- Nothing of these runs: schemas, extensions, access methods (which only superusers make), constraints.
        WHERE d.refclassid NOT IN ('pg_catalog.pg_namespace'::pg_catalog.regclass, 'pg_catalog.pg_extension'::pg_catalog.regclass,
                                   'pg_catalog.pg_am'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass)
          -- Nor of the tables themselves, of their other indexes, and of a table that one inherits from.
          AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND (
                       d.refobjid = ANY ($1::pg_catalog.oid[])
                       OR p.objid = p.member AND p.objsubid = 0
                       OR EXISTS (SELECT FROM pg_catalog.pg_index AS x
                                  WHERE x.indexrelid = d.refobjid AND x.indrelid = ANY ($1::pg_catalog.oid[])))))
    SELECT m.who || CASE WHEN m.relkind NOT IN ('r', 'p') THEN 'is a foreign table.'
                         WHEN m.relrowsecurity THEN 'has row-level security.' ELSE 'has rules.' END
    FROM member AS m
    WHERE m.relkind NOT IN ('r', 'p') OR m.relrowsecurity
       OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = m.oid)
    UNION ALL
    SELECT u.who || 'uses ' || pg_catalog.pg_describe_object(u.refclassid, u.refobjid, 0)
           || coalesce(' of ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.owner)), '') || '.'
    FROM used AS u WHERE NOT EXISTS (SELECT FROM trusted AS t WHERE t.oid = u.owner)
    ORDER BY 1 LIMIT 1";

/// `notary.distrust(log)`.
#[pg_extern(sql = false)]
fn distrust(log: pg_sys::Oid) -> Option<String> {
    against(log).or_raise()
}

/// `notary.plan_apart(statement)`.
#[pg_extern(sql = false)]
fn plan_apart(statement: &str) -> String {
    let text = CString::new(statement).map_err(|_| Error::NotUtf8).or_raise();
    planner::plan_apart(&text);
    statement.to_owned()
}

fn against(log: pg_sys::Oid) -> Result<Option<String>, Error> {
    let reader = context::current_user();
    let mut locked = HashSet::new();
    // Children may have come while others were locked.
    while let Some(next) = family(log).into_iter().find(|table| !locked.contains(&table.to_u32())) {
        context::check_for_interrupts();
        if !owner(next)?.is_some_and(|owner| owner == reader || context::is_superuser(owner)) {
            if !lock::try_share(next) {
                return Ok(Some("It is locked by another transaction, and belongs to another role.".into()));
            }
        } else {
            lock::share(next);
        }
        locked.insert(next.to_u32());
    }
    let tables: Vec<_> = locked.iter().map(u32::to_string).collect();
    let tables = format!("{{{}}}", tables.join(","));
    let found = catalog::rows(AGAINST, &[tables.as_str().into(), reader.into()], |row| spi::get::<String>(row, 1))?;
    Ok(found.into_iter().flatten().next())
}

/// The table, its partitions and whatever inherits from it.
fn family(log: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    compat::all_inheritors(log, pg_sys::NoLock as pg_sys::LOCKMODE)
}

fn owner(table: pg_sys::Oid) -> Result<Option<pg_sys::Oid>, Error> {
    let sql = "SELECT relowner FROM pg_catalog.pg_class WHERE oid = $1";
    Ok(catalog::rows(sql, &[table.into()], |row| spi::get::<pg_sys::Oid>(row, 1))?.into_iter().flatten().next())
}
