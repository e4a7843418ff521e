//! Parts of paths, refused with a problem.

use std::{fmt, str::FromStr};

use crate::problem::{Problem, kind};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

/// The one parameter of a path. What cannot be read as `T` names nothing, and the problem says what would.
#[derive(Debug, Clone)]
pub struct Named<T>(pub T);

impl<T: FromStr<Err: fmt::Display>, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unreadable =
            |reason: &dyn fmt::Display| Problem::new(kind::INVALID_PATH, format!("The path cannot be read: {reason}."));
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|error| unreadable(&error))?;
        let (_, text) = parameters.iter().next().ok_or_else(|| Problem::internal(&"the route has no parameter"))?;
        text.parse().map(Self).map_err(|error: T::Err| unreadable(&error))
    }
}
