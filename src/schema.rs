//! The table of contents of `sql/`: what the extension's script is made of, in reading order.

use pgrx::extension_sql_file;

extension_sql_file!("../sql/00_schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/10_triggers.sql", name = "triggers", requires = ["schema"]);
extension_sql_file!("../sql/20_protect.sql", name = "protect", requires = ["triggers"]);
extension_sql_file!("../sql/30_verify.sql", name = "verify", requires = ["protect"]);
extension_sql_file!("../sql/40_seal.sql", name = "seal", requires = ["verify"]);
extension_sql_file!("../sql/50_events.sql", name = "events", requires = ["seal"]);
extension_sql_file!("../sql/52_event_types.sql", name = "event_types", requires = ["events"]);
extension_sql_file!("../sql/55_capture.sql", name = "capture", requires = ["event_types"]);
extension_sql_file!("../sql/60_search.sql", name = "search", requires = ["capture"]);
extension_sql_file!("../sql/70_reports.sql", name = "reports", requires = ["search"]);
extension_sql_file!("../sql/90_guard.sql", name = "guard", requires = ["reports"], finalize);
