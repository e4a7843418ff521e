//! Query strings, refused with a problem.

use axum::{
    extract::{FromRequestParts, rejection::QueryRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::problem::{Problem, kind};

/// The query string as `T`. Give `T` `#[serde(deny_unknown_fields)]`: a misspelt filter that is silently
/// ignored answers another question than was asked.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(
            |rejection: QueryRejection| {
                let text = rejection.body_text();
                let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Problem::new(kind::INVALID_QUERY, format!("The query string cannot be read: {reason}."))
            },
        )
    }
}
