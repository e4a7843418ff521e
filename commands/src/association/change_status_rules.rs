use guildhall_aggregates::association::{self, Association};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Rule, status_rules},
};

/// Derive membership status by other rules. They hold for every date, past ones included; what was recorded
/// stays as it was recorded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeStatusRules {
    /// All rules, in order; the first that matches wins, and none matching is `expired`.
    #[serde(deserialize_with = "crate::wire::at_most::<100, _, _>")]
    #[schema(max_items = 100)]
    rules: Vec<Rule>,
}

impl Endpoint for ChangeStatusRules {
    const NAME: &'static str = "ChangeStatusRules";
    type Aggregate = Association;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.tenant.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Association>, Problem> {
        Ok(Prepared::of(association::ChangeStatusRules { rules: status_rules(self.rules) }))
    }
}
