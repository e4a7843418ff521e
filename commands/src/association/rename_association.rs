use guildhall_aggregates::association::{self, Association};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Give the association another name. Its short name stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameAssociation {
    /// The new name.
    name: Line,
}

impl Endpoint for RenameAssociation {
    const NAME: &'static str = "RenameAssociation";
    type Aggregate = Association;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.tenant.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<Association>, Problem> {
        Ok(Prepared::of(association::RenameAssociation { name: self.name.into() }))
    }
}
