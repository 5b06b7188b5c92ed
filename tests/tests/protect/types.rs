//! Column types: every type that the format does not list is refused with column and type named.

use super::{assert_untouched, refused, run};
use notary_tests::fresh_db;

/// The type as it is written, and as the error names it.
const UNLISTED: &[(&str, &str)] = &[
    ("regclass", "regclass"),
    ("regtype", "regtype"),
    ("regproc", "regproc"),
    ("regprocedure", "regprocedure"),
    ("regoper", "regoper"),
    ("regoperator", "regoperator"),
    ("regrole", "regrole"),
    ("regnamespace", "regnamespace"),
    ("regconfig", "regconfig"),
    ("regdictionary", "regdictionary"),
    ("regcollation", "regcollation"),
    ("oid", "oid"),
    ("xid", "xid"),
    ("xid8", "xid8"),
    ("cid", "cid"),
    ("tid", "tid"),
    ("pg_lsn", "pg_lsn"),
    ("txid_snapshot", "txid_snapshot"),
    ("pg_snapshot", "pg_snapshot"),
    ("\"char\"", "\"char\""),
    ("int2vector", "int2vector"),
    ("oidvector", "oidvector"),
    ("money", "money"),
    ("xml", "xml"),
    ("tsvector", "tsvector"),
    ("tsquery", "tsquery"),
    ("jsonpath", "jsonpath"),
    ("refcursor", "refcursor"),
    ("aclitem", "aclitem"),
    ("point", "point"),
    ("line", "line"),
    ("lseg", "lseg"),
    ("box", "box"),
    ("path", "path"),
    ("polygon", "polygon"),
    ("circle", "circle"),
    ("pair", "public.pair"),
    ("pair[]", "public.pair[]"),
    ("textrange", "public.textrange"),
    ("textranges", "public.textranges"),
    ("floatrange", "public.floatrange"),
    ("textrange[]", "public.textrange[]"),
    ("ext", "public.ext"),
    ("ext[]", "public.ext[]"),
    ("cash", "public.cash"),
    ("cash_of_cash", "public.cash_of_cash"),
    ("pairs", "public.pairs"),
    ("whole[]", "public.whole[]"),
    ("oid[]", "oid[]"),
    ("money[]", "money[]"),
    ("point[]", "point[]"),
    ("\"char\"[]", "\"char\"[]"),
    ("int2vector[]", "int2vector[]"),
    ("xml[]", "xml[]"),
    ("regclass[]", "regclass[]"),
];

/// An extension's base type, as far as pg_notary can tell.
const MAKE: &str = "CREATE TYPE pair AS (a int, b text);
    CREATE TYPE textrange AS RANGE (subtype = text, multirange_type_name = textranges);
    CREATE TYPE floatrange AS RANGE (subtype = float8);
    CREATE DOMAIN cash AS money; CREATE DOMAIN cash_of_cash AS cash; CREATE DOMAIN pairs AS pair[];
    CREATE DOMAIN whole AS int4;
    CREATE TYPE ext;
    CREATE FUNCTION ext_in(cstring) RETURNS ext LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION ext_out(ext) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE TYPE ext (INPUT = ext_in, OUTPUT = ext_out, LIKE = text)";

#[test]
fn columns_of_unlisted_types_are_refused_one_by_one() {
    let db = fresh_db("types");
    let mut client = db.client();
    run(&mut client, MAKE);
    for (written, shown) in UNLISTED {
        run(&mut client, &format!("CREATE TABLE t (a int, \"the column\" {written})"));
        let error = refused(&mut client, "SELECT notary.protect('t')");
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("0A000", "public.t cannot become a log"),
            "{written}"
        );
        let detail = format!("Column \"the column\" has type {shown}, whose text is not fixed by pg_notary's format.");
        assert_eq!(error.detail, detail);
        assert!(error.hint.starts_with("Give the column a listed type first"), "{error}");
        assert_untouched(&mut client, "t");
        run(&mut client, "DROP TABLE t");
    }
}

#[test]
fn an_unlisted_type_is_refused_in_a_partition_and_under_a_generated_column_only_where_it_is_hashed() {
    let db = fresh_db("types_generated");
    let mut client = db.client();
    run(
        &mut client,
        "CREATE TABLE t (a text, v tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, a)) STORED);
         SELECT notary.protect('t'); INSERT INTO t (a) VALUES ('a fat cat');
         CREATE TABLE dropped (a int, gone money); INSERT INTO dropped VALUES (1, 2); ALTER TABLE dropped DROP gone;
         SELECT notary.protect('dropped')",
    );
    super::assert_intact(&mut client, "t", 1);
    super::assert_intact(&mut client, "dropped", 1);
    run(&mut client, "CREATE TABLE root (a int, b money) PARTITION BY RANGE (a)");
    assert_eq!(refused(&mut client, "SELECT notary.protect('root')").code, "0A000");
}

#[test]
fn the_hint_for_an_unlisted_type_works() {
    let db = fresh_db("types_hint");
    let mut client = db.client();
    run(&mut client, "CREATE TABLE t (a int, \"The Column\" money); INSERT INTO t VALUES (1, '2.50')");
    let hint = refused(&mut client, "SELECT notary.protect('t')").hint;
    let (_, rest) = hint.split_once("text: ").unwrap();
    let (command, _) = rest.split_once(". The README").unwrap();
    run(&mut client, command);
    run(&mut client, "SELECT notary.protect('t')");
    super::assert_intact(&mut client, "t", 1);
}
