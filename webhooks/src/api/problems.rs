//! The problems that managing endpoints can have, and how the documents list them.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use guildhall_event_store::StoreError;
use guildhall_web::{Kind, Problem, problem};
use utoipa::{
    IntoResponses,
    openapi::{Content, Ref, RefOr, ResponseBuilder, response::Response},
};

use crate::{WebhookError, endpoint::NotMade};

/// The association has as many endpoints as it may.
const TOO_MANY: Kind =
    Kind { word: "too-many-webhooks", status: StatusCode::CONFLICT, title: "There are as many webhooks as may be" };

/// There is no such endpoint, or it is another association's: the two are told apart by nobody.
pub(super) fn not_found() -> Problem {
    Problem::new(problem::kind::NOT_FOUND, "Your association has no such webhook.")
}

/// What went wrong is to the caller.
pub(super) fn of_error(error: WebhookError) -> Problem {
    match error {
        WebhookError::Store(StoreError::Unavailable { .. } | StoreError::Overloaded { .. })
        | WebhookError::Tables(_) => {
            tracing::warn!(%error, "webhooks cannot be managed");
            let detail = "The database does not answer in time. Look what is there before you send it again.";
            Problem::new(problem::kind::UNAVAILABLE, detail).retry_after(Duration::from_secs(2))
        }
        WebhookError::Store(_)
        | WebhookError::Secret(_)
        | WebhookError::Category(_)
        | WebhookError::Client(_)
        | WebhookError::Replaced => Problem::internal(&error),
    }
}

/// The same, of history.
pub(super) fn of_store(error: StoreError) -> Problem {
    of_error(WebhookError::Store(error))
}

/// Why there is no new endpoint.
pub(super) fn of_not_made(error: NotMade, most: usize) -> Problem {
    match error {
        NotMade::TooMany => {
            Problem::new(TOO_MANY, format!("An association has at most {most} webhooks; delete one you need no more."))
        }
        NotMade::Failed(error) => of_error(error),
    }
}

/// What every operation may answer beside what was asked for.
pub(super) enum AnyProblem {}

impl IntoResponses for AnyProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            ("401", "No token, or one that does not hold"),
            ("403", "The token's scope does not allow this"),
            ("405", "The path knows no such method"),
            ("500", "Something went wrong inside; it is logged under the request's id"),
            ("503", "The database does not answer, or the server is full; see `Retry-After`"),
            ("504", "It took longer than the limit"),
        ])
    }
}

/// The same, of one that names an endpoint.
pub(super) enum OneProblem {}

impl IntoResponses for OneProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut all = AnyProblem::responses();
        all.extend(documented(&[
            ("400", "The path or the query string cannot be read"),
            ("404", "Your association has no such webhook"),
        ]));
        all
    }
}

/// What an operation with a body may answer as well.
pub(super) enum BodyProblem {}

impl IntoResponses for BodyProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            ("400", "The body is not JSON, or the path cannot be read"),
            ("413", "The body is larger than the limit"),
            ("415", "The body is of another media type"),
            ("422", "The body is not what this path reads; `errors` point into it"),
        ])
    }
}

fn documented(all: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let one = |(status, description): &(&str, &str)| {
        let body = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(*description).content(problem::MEDIA_TYPE, body).build();
        ((*status).to_owned(), response.into())
    };
    all.iter().map(one).collect()
}
