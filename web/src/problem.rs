//! Errors as `application/problem+json` (RFC 9457).

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request;

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What kind of problem: a word clients may rely on, and the status it always has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The stable word, in kebab case: `key-reused`. Sent as `urn:guildhall:problem:key-reused`.
    pub word: &'static str,
    /// The status it is always sent with.
    pub status: StatusCode,
    /// What the word means, for a person; the same for every problem of the kind.
    pub title: &'static str,
}

impl Kind {
    const fn new(status: StatusCode, word: &'static str, title: &'static str) -> Self {
        Self { word, status, title }
    }

    /// The rules of the association say no: 409, with the refusal's own word.
    pub const fn refused(word: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, word, "The rules say no")
    }

    /// What a command was sent to does not exist: 404, with a word that says what.
    pub const fn absent(word: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, word, "There is no such thing")
    }

    /// The request can be read but asks for what cannot be: 422, with the refusal's own word.
    pub const fn invalid(word: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, word, "The request asks for what cannot be")
    }
}

/// The kinds of problems every API has. Refusals have their own words, beside the commands they refuse.
pub mod kind {
    use super::{Kind, StatusCode};

    /// The body is not JSON, or breaks off.
    pub const MALFORMED_BODY: Kind = Kind::new(StatusCode::BAD_REQUEST, "malformed-body", "The body is not JSON");
    /// A header is missing or cannot be read.
    pub const INVALID_HEADER: Kind =
        Kind::new(StatusCode::BAD_REQUEST, "invalid-header", "A header is missing or cannot be read");
    /// A query parameter is unknown or cannot be read.
    pub const INVALID_QUERY: Kind =
        Kind::new(StatusCode::BAD_REQUEST, "invalid-query", "A query parameter is unknown or cannot be read");
    /// A part of the path cannot be read.
    pub const INVALID_PATH: Kind =
        Kind::new(StatusCode::BAD_REQUEST, "invalid-path", "A part of the path cannot be read");
    /// No token, or one that does not hold.
    pub const UNAUTHENTICATED: Kind =
        Kind::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A valid bearer token is needed");
    /// The token does not allow this.
    pub const FORBIDDEN: Kind = Kind::new(StatusCode::FORBIDDEN, "forbidden", "The token does not allow this");
    /// Nothing is there, or nothing of the caller's.
    pub const NOT_FOUND: Kind = Kind::new(StatusCode::NOT_FOUND, "not-found", "Nothing is there");
    /// The path knows no such method.
    pub const METHOD_NOT_ALLOWED: Kind =
        Kind::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path knows no such method");
    /// The same request is being worked on right now.
    pub const IN_PROGRESS: Kind =
        Kind::new(StatusCode::CONFLICT, "in-progress", "The same request is being worked on right now");
    /// Too many others changed the same thing at the same time.
    pub const CONTENDED: Kind =
        Kind::new(StatusCode::CONFLICT, "contended", "Too many others changed the same thing at the same time");
    /// Another thing of the association has this value already.
    pub const ALREADY_TAKEN: Kind =
        Kind::new(StatusCode::CONFLICT, "already-taken", "The value belongs to another record already");
    /// The thing is at another version than `If-Match` says.
    pub const VERSION_MISMATCH: Kind =
        Kind::new(StatusCode::PRECONDITION_FAILED, "version-mismatch", "It is at another version than If-Match says");
    /// The body is larger than the limit.
    pub const TOO_LARGE: Kind =
        Kind::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is larger than the limit");
    /// The body is of a media type this path does not read.
    pub const UNSUPPORTED_MEDIA_TYPE: Kind =
        Kind::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is of another media type");
    /// The body is JSON, but not the JSON this path reads.
    pub const INVALID_BODY: Kind =
        Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", "The body is not what this path reads");
    /// The body names something that does not exist in the association.
    pub const UNKNOWN_REFERENCE: Kind =
        Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-reference", "The body names something that is not there");
    /// The idempotency key was used for another request.
    pub const KEY_REUSED: Kind =
        Kind::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "The idempotency key was used for another request");
    /// More requests than are allowed.
    pub const TOO_MANY_REQUESTS: Kind =
        Kind::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "More requests than are allowed");
    /// Something went wrong inside.
    pub const INTERNAL: Kind =
        Kind::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side");
    /// More work waits than can be taken.
    pub const OVERLOADED: Kind =
        Kind::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "More work waits than can be taken");
    /// Nobody knows yet whether it was stored.
    pub const UNAVAILABLE: Kind =
        Kind::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The outcome is not known; send it again");
    /// It took longer than the limit.
    pub const TIMED_OUT: Kind = Kind::new(StatusCode::GATEWAY_TIMEOUT, "timed-out", "It took longer than the limit");

    /// All of them: what documentation lists.
    pub const ALL: &[Kind] = &[
        MALFORMED_BODY,
        INVALID_HEADER,
        INVALID_QUERY,
        INVALID_PATH,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        IN_PROGRESS,
        CONTENDED,
        ALREADY_TAKEN,
        VERSION_MISMATCH,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_BODY,
        UNKNOWN_REFERENCE,
        KEY_REUSED,
        TOO_MANY_REQUESTS,
        INTERNAL,
        OVERLOADED,
        UNAVAILABLE,
        TIMED_OUT,
    ];
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body, such as `/lines/0/quantity`.
    pub pointer: String,
    /// What is wrong there.
    pub detail: Cow<'static, str>,
}

/// An error as a client sees it. It helps a person and shows nothing of what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// The wire shape of a [`Problem`].
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// What kind of problem, as a stable URN: `urn:guildhall:problem:` and a word.
    #[serde(rename = "type")]
    type_urn: String,
    /// What the kind means, for a person.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time, and what to do about it.
    detail: &'a str,
    /// What is wrong with which part of the body.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// The request, as `urn:uuid:` and its id: quote it when you ask for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

impl Problem {
    /// A problem of a kind. The detail says what is wrong this time and what to do about it.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// Something went wrong inside. What, is logged here, once, and not shown.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside");
        Self::new(kind::INTERNAL, "The failure is logged under this request's id. It is safe to send it again.")
    }

    /// The same problem, pointing at a part of the body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// The same problem, with the time after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is wrong with which part of the body.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// When to try again, where that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The wire shape, for answers that hold several problems.
    pub fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            type_urn: format!("urn:guildhall:problem:{}", self.kind.word),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            instance: request::current().map(|request| format!("urn:uuid:{}", request.id)),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.word, self.detail)?;
        self.errors.iter().try_for_each(|error| write!(f, "; at {}: {}", error.pointer, error.detail))
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("strings and numbers can be written as JSON");
        let mut response = (self.kind.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == kind::UNAUTHENTICATED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="guildhall""#));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        response
    }
}

/// Whole seconds, rounded up: nobody is told to come back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let mut words: Vec<_> = kind::ALL.iter().map(|kind| kind.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), kind::ALL.len());
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }

    #[test]
    fn a_problem_tells_a_client_what_to_wait_for() {
        let response = Problem::new(kind::OVERLOADED, "later").retry_after(Duration::from_millis(1500)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }
}
