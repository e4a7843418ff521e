//! The bulk path over HTTP.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use guildhall_web::{Caller, Problem, Role, json, request};

use super::{lines, run};
use crate::{CommandApi, registry::Sender};

/// Executes the lines of the body and answers with a line for each.
pub(crate) async fn http(
    State(api): State<CommandApi>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(&[Role::Api])?;
    json::require_media_type(&headers, "application/x-ndjson")?;
    let request = request::current().unwrap_or_default();
    let sender = Sender::of(&caller, request);
    let lines = lines(body.into_data_stream(), api.options.body_bytes);
    let outcomes = run(api.executor, sender, api.options.bulk_window, lines);
    let answer = Body::from_stream(outcomes.map(|outcome| Ok::<_, Infallible>(outcome.to_line())));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], answer).into_response())
}
