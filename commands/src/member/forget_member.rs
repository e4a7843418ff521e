use guildhall_aggregates::{
    MemberId, SubjectId,
    member::{self, Member},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, claim, context::vault_problem};

/// Make a member's personal data unreadable for ever, in history, read models, exports and backups of events
/// alike. What they did stays on record; who they were does not. This cannot be undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgetMember {
    /// Which member.
    #[schema(value_type = Uuid)]
    member_id: MemberId,
}

impl Endpoint for ForgetMember {
    const NAME: &'static str = "ForgetMember";
    type Aggregate = Member;

    fn stream(&self, _: &Origin) -> Uuid {
        self.member_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Member>, Problem> {
        // What is claimed is a trace of the person, too.
        let command = Prepared::of(member::ForgetMember {});
        Ok(command.claiming(context.claim(claim::EMAIL, None)).claiming(context.claim(claim::MEMBER_NUMBER, None)))
    }

    async fn recorded(context: &Context) -> Result<(), Problem> {
        // First the fact, then the deed: should this node stop in between, the command sent again does it.
        let vault = context.executor.store().vault();
        vault.forget(context.tenant(), SubjectId::new(context.id)).await.map_err(vault_problem)?;
        Ok(())
    }
}
