//! Search and reports answer the same under settings of the session that change what SQL means.

use crate::{rows, scene};
use notary_tests::talk::{run, texts};

const ASKED: [&str; 15] = [
    "notary.event_logs",
    "notary.search('one', action => 'auth.*', text => 'common', tag => 'batch')",
    "notary.search('one', actor => E'\\\\')",
    "notary.search('one', action => E'a\\\\''.*')",
    "notary.search('one', resource_id => '1')",
    "notary.sample('one', 5, 's')",
    "notary.pii_access",
    "notary.failed_auth",
    "notary.auth_bursts(min_count => 1)",
    "notary.admin_actions",
    "notary.data_exports",
    "notary.ai_decisions",
    "notary.resource_history",
    "notary.activity",
    "notary.integrity",
];

#[test]
fn backslashes_that_mean_something_change_nothing() {
    let (db, mut client) = scene("settings", 500);
    let asked = ASKED.map(|asked| format!("SELECT * FROM {asked}"));
    let expected = asked.clone().map(|asked| rows(&mut client, &asked));
    let mut other = db.client();
    for setting in ["standard_conforming_strings = off", "backslash_quote = off", "escape_string_warning = off"] {
        run(&mut other, &format!("SET {setting}"));
        for (asked, expected) in asked.iter().zip(&expected) {
            assert_eq!(&rows(&mut other, asked), expected, "{setting}: {asked}");
        }
    }
    // Whoever writes one more function is told.
    let with_backslashes = "SELECT proname FROM pg_proc JOIN pg_language AS l ON l.oid = prolang
                            WHERE pronamespace = 'notary'::regnamespace AND lanname IN ('sql', 'plpgsql') AND position(chr(92) IN prosrc) > 0";
    assert_eq!(texts(&mut client, with_backslashes), Vec::<String>::new());
}
