//! `GET /v1/commands/{command_id}`: what became of one command.

use axum::{extract::State, response::Response};
use guildhall_event_store::Receipt;
use guildhall_web::{Named, Position, Query};
use serde::Deserialize;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::record::{self, Record};
use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    problems::{OneRead, not_found, of_store},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandQuery {
    /// A consistency token: wait until this is recorded.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// A command that was recorded, with what it recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordedCommand {
    /// The command, as its receipt names it.
    command_id: Uuid,
    /// The stream that decided.
    stream: String,
    /// The stream's version after it.
    version: u64,
    /// The position of its last record; where nothing was recorded, the highest position at the time.
    position: u64,
    /// What was recorded, in order. Empty where what was asked for was so already.
    records: Vec<Record>,
}

/// One command and what it recorded
///
/// Found by the `command_id` of its receipt. Commands that were refused leave no trace in history. Needs the
/// scope `auditor`.
#[utoipa::path(
    get,
    path = "/v1/commands/{command_id}",
    tag = super::TAG,
    params(("command_id" = Uuid, Path, description = "From the receipt"), CommandQuery),
    responses((status = OK, body = One<RecordedCommand>), OneRead),
)]
pub(crate) async fn command(
    State(read): State<ReadState>,
    asked: Asked,
    Named(command_id): Named<Uuid>,
    Query(query): Query<CommandQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let format = asked.shape(None, &[Format::Json])?;
    let mark = read.history(query.at_least).await?;
    let answer = asked.answer(format, mark, ())?;

    let tenant = asked.caller.tenant;
    let recorded = read.store.recorded_command(tenant, command_id).await.map_err(of_store)?;
    let Receipt { stream, version, position, events, .. } = recorded.ok_or_else(|| not_found("command"))?.receipt;
    let before = version.saturating_sub(events.len() as u64);
    let stored = match events.len() {
        0 => Vec::new(),
        recorded => read.store.read_stream(tenant, &stream, before, recorded).await.map_err(of_store)?,
    };
    let records = record::of_events(&stored, None).await?;
    answer.one(RecordedCommand { command_id, stream: stream.to_string(), version, position, records })
}
