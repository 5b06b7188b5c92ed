//! What the server hands out, in the hands of programs that nobody here wrote; tests/clients/checkers drives them.

use crate::{scene, seal, size};
use notary_tests::golden::Golden;
use notary_tests::talk::run;
use postgres::Client;

/// Inserts `rows` entries, seals, and makes sure of the tree's size.
fn grow(client: &mut Client, rows: u64, to: u64) {
    run(client, &format!("INSERT INTO audit SELECT i, 'w' || i FROM generate_series(1, {rows}) AS i"));
    assert_eq!(size(&seal(client, "audit")), to);
}

#[test]
fn independent_programs_accept_what_is_sealed_and_refuse_what_was_tampered_with() {
    Golden::new("clients/checkers", "programs", "py").check(|name, program| {
        let db = scene(name, 0);
        let mut client = db.client();
        // A key that vouches for nothing here.
        run(&mut client, "CREATE TABLE other (id int); SELECT notary.protect('other')");
        // The header alone, then entry by entry, with a second segment's header on the way.
        assert_eq!(size(&seal(&mut client, "audit")), 1);
        for size in 2..=300 {
            if size == 150 {
                run(&mut client, "SELECT notary.unprotect('audit', 'a test'); SELECT notary.protect('audit')");
                assert_eq!(crate::size(&seal(&mut client, "audit")), size);
            } else {
                grow(&mut client, 1, size);
            }
        }
        grow(&mut client, 65_535 - 300, 65_535);
        grow(&mut client, 1, 65_536);
        grow(&mut client, 1, 65_537);
        let output = db.cluster().python().arg("-c").arg(program).env("PGDATABASE", db.name()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    });
}
