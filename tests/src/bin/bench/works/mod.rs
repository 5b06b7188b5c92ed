//! The works, in the order in which they are done.

mod bulk;
mod capture;
mod disturbed;
mod grown;
mod others;
mod single;
mod verify;

use crate::report::Report;
use crate::servers::Servers;

/// All of them.
pub fn all(servers: &Servers, report: &mut Report) {
    single::run(servers, report);
    bulk::run(servers, report);
    grown::run(servers, report);
    disturbed::run(servers, report);
    verify::run(servers, report);
    capture::run(servers, report);
    others::run(servers, report);
}

/// How many a second, when this many take as long as `work` does.
fn rate_of(count: u64, work: impl FnOnce()) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let count = count as f64;
    count / seconds(work)
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begin = std::time::Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}
