//! `GET /v1/members/{id}`: one member.

use axum::{extract::State, response::Response};
use guildhall_aggregates::MemberId;
use guildhall_projections::directory::{self, Directory};
use guildhall_web::{Named, Position, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    entry::DirectoryMember,
    sight::{self, SeenBy},
};
use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    problems::{OneRead, not_found},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemberQuery {
    /// Through whose eyes: `public`, or a member's id (needs the scope `api`).
    #[param(value_type = Option<String>, pattern = "^(public|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
    seen_by: Option<SeenBy>,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// One member
///
/// As the caller may see them: who may not be seen is not there.
#[utoipa::path(
    get,
    path = "/v1/members/{member_id}",
    tag = super::TAG,
    params(("member_id" = Uuid, Path, description = "The member's id"), MemberQuery),
    responses((status = OK, body = One<DirectoryMember>), OneRead),
)]
pub(crate) async fn member(
    State(read): State<ReadState>,
    asked: Asked,
    Named(member): Named<MemberId>,
    Query(query): Query<MemberQuery>,
) -> Result<Response, Early> {
    let viewer = sight::of(&asked.caller, query.seen_by)?;
    let format = asked.shape(None, &[Format::Json])?;
    let tenant = asked.caller.tenant;
    let today = read.today(tenant).await?;
    let reading = read.reading::<Directory>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, today)?;

    let found = directory::member(&reading.client, tenant, today, viewer, member).await.map_err(super::of_page)?;
    answer.one(DirectoryMember::of(found.ok_or_else(|| not_found("member"))?, &reading.stale))
}
