//! What a client sees of an error.

use std::fmt;

/// An error of the server, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The SQLSTATE, five characters.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// DETAIL, empty when there is none.
    pub detail: String,
    /// HINT, empty when there is none.
    pub hint: String,
    /// CONTEXT, empty when there is none.
    pub context: String,
    /// The constraint that was violated, empty when there is none.
    pub constraint: String,
}

impl SqlError {
    /// The server's fields of `error`; panics when the error is not one of the server.
    #[track_caller]
    pub fn of(error: &postgres::Error) -> Self {
        let db = error.as_db_error().unwrap_or_else(|| panic!("not an error of the server: {error}"));
        let owned = |field: Option<&str>| field.unwrap_or_default().to_owned();
        Self {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: owned(db.detail()),
            hint: owned(db.hint()),
            context: owned(db.where_()),
            constraint: owned(db.constraint()),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        for (name, value) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if !value.is_empty() {
                write!(f, "\n{name}: {value}")?;
            }
        }
        Ok(())
    }
}

/// The server's error in `result`; panics when the statement succeeded.
#[track_caller]
pub fn err<T>(result: Result<T, postgres::Error>) -> SqlError {
    match result {
        Ok(_) => panic!("the statement was to be refused, and succeeded"),
        Err(error) => SqlError::of(&error),
    }
}
