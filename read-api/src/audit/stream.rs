//! `GET /v1/streams/{stream}`: what happened to one thing.

use axum::{extract::State, response::Response};
use guildhall_event_store::StreamId;
use guildhall_web::{Named, Position, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    personal::Opener,
    record::{self, Record},
};
use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    format::ListFormat,
    parameters::{Count, Limit},
    problems::{OneRead, not_found, of_store},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Only records after this version.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Count,
    /// How many records at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Show personal data in clear text. Logged.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: bool,
    /// A consistency token: wait until this is recorded.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// The records of one stream, in order
///
/// Everything that happened to one thing, each record with who, when and why. A stream is named by its
/// category and the thing's id. Needs the scope `auditor`.
#[utoipa::path(
    get,
    path = "/v1/streams/{stream}",
    tag = super::TAG,
    params(("stream" = String, Path, description = "`category-uuid`", pattern = "^[a-z_]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", example = "membership-0198c0de-0000-7000-8000-000000000001"), StreamQuery),
    responses((status = OK, content((Page<Record> = "application/json"), (String = "text/csv"))), OneRead),
)]
pub(crate) async fn records_of_stream(
    State(read): State<ReadState>,
    asked: Asked,
    Named(stream): Named<StreamId>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let format = asked.list_shape(query.format)?;
    let mark = read.history(query.at_least).await?;
    let answer = if query.open { asked.passing_answer(format, mark) } else { asked.answer(format, mark, ())? };

    let tenant = asked.caller.tenant;
    let (Count(after), limit) = (query.after, query.limit.rows());
    let mut events = read.store.read_stream(tenant, &stream, after, limit + 1).await.map_err(of_store)?;
    if events.is_empty()
        && (after == 0 || read.store.read_stream(tenant, &stream, 0, 1).await.map_err(of_store)?.is_empty())
    {
        return Err(not_found("stream").into());
    }
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| event.version.to_string());

    let opener = query.open.then(|| Opener::for_auditor(read.store.vault(), &asked.caller, &stream));
    answer.list(record::of_events(&events, opener.as_ref()).await?, next)
}
