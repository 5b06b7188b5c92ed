//! The guard: what may not happen to a log, what may, and that nobody else notices.
//!
//! Every attempt is made in a session of its own, whose first command it is: the guard must be there from the start.

mod allowed;
mod bystanders;
mod columns;
mod itself;
mod races;
mod scene;
mod tables;
