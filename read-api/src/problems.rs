//! The problems reading can have, and how the documents of every operation list them.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use guildhall_event_store::{DecodeError, LoadError, StoreError};
use guildhall_web::{Kind, Position, Problem, problem};
use tokio_postgres::error::SqlState;
use utoipa::{
    IntoResponses,
    openapi::{Content, Ref, RefOr, ResponseBuilder, response::Response},
};

use crate::documents::text_header;

/// The read model has not come as far as `at_least` asks, within the time a read may wait.
pub(crate) const POSITION_NOT_REACHED: Kind = Kind {
    word: "position-not-reached",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The data has not come as far as asked yet",
};
/// The read model was filled by another version of the program.
pub(crate) const BEING_REBUILT: Kind = Kind {
    word: "being-rebuilt",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The data is being rebuilt for this version of the program",
};
/// The database does not answer, or not in time.
pub(crate) const READ_UNAVAILABLE: Kind = Kind {
    word: "read-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The data cannot be read at the moment",
};
/// The history that was asked for has been taken out of the database. Asking again does not help until it is brought back.
pub(crate) const ARCHIVED: Kind =
    Kind { word: "archived", status: StatusCode::SERVICE_UNAVAILABLE, title: "This part of history is archived" };
/// No shape of the answer is one that `Accept` takes.
pub(crate) const NOT_ACCEPTABLE: Kind = Kind {
    word: "not-acceptable",
    status: StatusCode::NOT_ACCEPTABLE,
    title: "The answer cannot have the shape asked for",
};

/// A stored record is not what this program expects: damaged, or written by a newer one.
pub(crate) const UNREADABLE_RECORD: Kind = Kind {
    word: "unreadable-record",
    status: StatusCode::CONFLICT,
    title: "A record of history cannot be read by this program",
};

const LATER: Duration = Duration::from_secs(1);

/// What was asked for is not there, or not the caller's: the two are told apart by nobody.
pub(crate) fn not_found(what: &'static str) -> Problem {
    Problem::new(problem::kind::NOT_FOUND, format!("Your association has no such {what}."))
}

/// The data cannot be read now. The cause is logged, not shown.
pub(crate) fn unavailable(cause: &dyn std::fmt::Display) -> Problem {
    tracing::warn!(%cause, "a read could not be answered");
    Problem::new(READ_UNAVAILABLE, "The database does not answer in time; ask again shortly.").retry_after(LATER)
}

/// The read model did not come as far as asked.
pub(crate) fn not_reached(asked: Position, reached: Position) -> Problem {
    let detail = format!(
        "You asked for {asked}, the data stands at {reached}; ask again, or without `Prefer: handling=strict` for what there is."
    );
    Problem::new(POSITION_NOT_REACHED, detail).retry_after(LATER)
}

/// The tables are of another version than this program.
pub(crate) fn being_rebuilt(projection: &str) -> Problem {
    let detail = format!("This node is of another version than the data of `{projection}`; ask again shortly.");
    Problem::new(BEING_REBUILT, detail).retry_after(LATER)
}

/// What a failed statement is to the caller: passing trouble, or a defect of ours.
pub(crate) fn of_postgres(error: &tokio_postgres::Error) -> Problem {
    const PASSING: [&SqlState; 4] = [
        &SqlState::QUERY_CANCELED,
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
    ];
    let broken = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    let passing = error.code().is_some_and(|code| PASSING.contains(&code));
    if error.is_closed() || broken || passing { unavailable(error) } else { Problem::internal(error) }
}

/// What a failed read of history is to the caller.
pub(crate) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable { .. } | StoreError::Overloaded { .. } | StoreError::NotMigrated => unavailable(&error),
        StoreError::Archived { first, last } => {
            tracing::warn!(%error, "a read could not be answered");
            let detail =
                format!("Positions {first} to {last} are archived; whoever runs this system can bring them back.");
            Problem::new(ARCHIVED, detail)
        }
        StoreError::TooLarge { .. }
        | StoreError::Malformed(_)
        | StoreError::Refused { .. }
        | StoreError::Hole { .. }
        | StoreError::WrongKey { .. }
        | StoreError::Misconfigured(_) => Problem::internal(&error),
    }
}

/// What a state that cannot be read is to the caller.
pub(crate) fn of_load(error: LoadError) -> Problem {
    match error {
        LoadError::Store(error) => of_store(error),
        LoadError::Decode(error) => Problem::internal(&error),
    }
}

/// What a state that cannot be folded further is to an auditor, who wants to know where to look.
pub(crate) fn of_record(error: &DecodeError) -> Problem {
    tracing::error!(%error, "a record of history cannot be read");
    let DecodeError { position, type_name, schema_version, .. } = error;
    let detail = format!(
        "The record at position {position} ({type_name} v{schema_version}) cannot be read; ask for a version before it."
    );
    Problem::new(UNREADABLE_RECORD, detail)
}

/// What every read may answer beside what was asked for.
pub(crate) enum AnyRead {}

/// The same, of a read that asks for one thing.
pub(crate) enum OneRead {}

impl IntoResponses for AnyRead {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let unchanged = ResponseBuilder::new()
            .description("Not changed since the answer whose `ETag` came as `If-None-Match`")
            .header("ETag", text_header("The tag of the answer you have"))
            .header("Guildhall-Position", text_header("How far the data has come, as a consistency token"));
        let mut all = BTreeMap::from([("304".to_owned(), unchanged.build().into())]);
        for (status, description) in [
            ("400", "A parameter is unknown or cannot be read"),
            ("401", "No token, or one that does not hold"),
            ("403", "The token's scope does not allow this"),
            ("405", "The path knows no such method"),
            ("406", "No shape of the answer is one that `Accept` takes"),
            ("500", "Something went wrong inside; it is logged under the request's id"),
            (
                "503",
                "The data cannot be read now or is archived, or, with `Prefer: handling=strict`, has not come as far as `at_least` asks; see `Retry-After`",
            ),
            ("504", "It took longer than the limit"),
        ] {
            all.insert(status.to_owned(), documented(description).into());
        }
        all
    }
}

impl IntoResponses for OneRead {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = AnyRead::responses();
        all.insert("404".to_owned(), documented("Your association has no such thing").into());
        all
    }
}

/// The same, of a read that folds history.
pub(crate) enum Fold {}

impl IntoResponses for Fold {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = OneRead::responses();
        all.insert("409".to_owned(), documented("A record of the stream cannot be read by this program").into());
        all
    }
}

fn documented(description: &str) -> Response {
    let body = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, body).build()
}
