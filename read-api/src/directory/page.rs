//! `GET /v1/directory`: the members, page by page.

use axum::{extract::State, response::Response};
use guildhall_aggregates::{MemberId, membership::MembershipStatus};
use guildhall_projections::directory::{self, Directory, Filter};
use guildhall_web::{Position, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    entry::{DirectoryMember, Status},
    sight::{self, SeenBy},
};
use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    format::ListFormat,
    parameters::{Limit, Words},
    problems::AnyRead,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DirectoryQuery {
    /// A name, or the beginnings of its words. Case and accents do not matter, and a typing error is forgiven.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    search: Option<Words>,
    /// Only who has a membership of the plan with this code.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    plan: Option<Words>,
    /// Only who has a membership with this status today.
    #[param(inline)]
    status: Option<Status>,
    /// Only who holds this credential, such as `RN`.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    credential: Option<Words>,
    /// Only who lives there. Case and accents do not matter.
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    city: Option<Words>,
    /// Only who belongs to this organization.
    organization: Option<Uuid>,
    /// Through whose eyes: `public`, or a member's id (needs the scope `api`).
    #[param(value_type = Option<String>, pattern = "^(public|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
    seen_by: Option<SeenBy>,
    /// `next` of the page before.
    after: Option<Uuid>,
    /// How many members at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// A consistency token: wait until this is in the answer, five seconds at most.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

impl DirectoryQuery {
    fn filter(&self) -> Filter {
        let text = |words: &Option<Words>| words.as_ref().map(|words| words.as_str().to_owned());
        Filter {
            name: text(&self.search),
            plan: text(&self.plan),
            status: self.status.map(MembershipStatus::from),
            credential: text(&self.credential),
            city: text(&self.city),
            organization: self.organization.map(MemberId::new),
        }
    }
}

/// The members, page by page
///
/// Best match first where a name is looked for, then by name. Everybody sees what the members let them.
#[utoipa::path(
    get,
    path = "/v1/directory",
    tag = super::TAG,
    params(DirectoryQuery),
    responses((status = OK, content((Page<DirectoryMember> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn directory(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<DirectoryQuery>,
) -> Result<Response, Early> {
    let viewer = sight::of(&asked.caller, query.seen_by)?;
    let format = asked.list_shape(query.format)?;
    let tenant = asked.caller.tenant;
    let today = read.today(tenant).await?;
    let reading = read.reading::<Directory>(&asked, query.at_least).await?;
    let answer = asked.answer(format, reading.mark, today)?;

    let (filter, limit) = (query.filter(), query.limit.rows());
    let page = directory::page(&reading.client, tenant, today, viewer, &filter, query.after, limit)
        .await
        .map_err(super::of_page)?;
    let members = page.members.into_iter().map(|member| DirectoryMember::of(member, &reading.stale)).collect();
    answer.list(members, page.next.map(|next| next.to_string()))
}
