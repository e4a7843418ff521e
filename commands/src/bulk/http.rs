//! The bulk path over HTTP.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use guildhall_web::{Caller, Problem, Role, json, problem::kind, request};

use super::{lines, run};
use crate::{api::Routed, registry::Sender};

const MEDIA_TYPE: &str = "application/x-ndjson";

/// How many outcomes that are there at once are sent in one piece.
const OUTCOMES: usize = 64;

/// Executes the lines of the body and answers with a line for each.
pub(crate) async fn http(
    State(Routed { api, bulk_places }): State<Routed>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(&[Role::Api])?;
    json::require_media_type(&headers, MEDIA_TYPE)?;
    let place = Arc::clone(&bulk_places).try_acquire_owned().map_err(|_| {
        let detail = "Too many bulk requests are being worked on; come back shortly.";
        Problem::new(kind::OVERLOADED, detail).retry_after(Duration::from_secs(5))
    })?;
    let request = request::current().unwrap_or_default();
    let sender = Sender::of(&caller, request.clone());
    let lines = lines(body.into_data_stream(), api.options.body_bytes);
    let outcomes = run(api.executor, sender, api.options.bulk_window, lines);
    let answer = outcomes.ready_chunks(OUTCOMES).map(move |outcomes| {
        // The answer is written long after the handler has returned; what it says still belongs to the request,
        // and so does the place.
        let _place = &place;
        let mut lines = Vec::new();
        request::scope_sync(request.clone(), || outcomes.iter().for_each(|outcome| outcome.write_line(&mut lines)));
        Ok::<_, Infallible>(Bytes::from(lines))
    });
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(answer)).into_response())
}
