use chrono_tz::Tz;
use guildhall_aggregates::{
    association::{self, Association},
    money::Currency,
    tenant_of_slug,
};
use guildhall_web::{Problem, problem::kind};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Start keeping the records of an association. It is the association the token is made for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FoundAssociation {
    /// Its name in full.
    #[schema(example = "Society of Bell Founders")]
    name: Line,
    /// Its short name, as in the token: lower-case letters, digits and hyphens.
    #[schema(example = "bell-founders")]
    slug: Line,
    /// The IANA zone its dates are local to.
    #[schema(value_type = String, example = "America/New_York")]
    time_zone: Tz,
    /// The ISO 4217 currency it bills in.
    #[schema(value_type = String, example = "USD", pattern = "^[A-Z]{3}$")]
    currency: Currency,
}

impl Endpoint for FoundAssociation {
    const NAME: &'static str = "FoundAssociation";
    const FOUNDS: bool = true;
    type Aggregate = Association;

    fn stream(&self, origin: &Origin) -> Uuid {
        origin.tenant.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Association>, Problem> {
        if tenant_of_slug(self.slug.as_str()) != context.tenant() {
            let detail = "The token is made for another association; ask for one with this short name.";
            return Err(Problem::new(kind::FORBIDDEN, detail).at("/slug", "is not the association of the token"));
        }
        Ok(Prepared::of(association::FoundAssociation {
            name: self.name.into(),
            slug: self.slug.into(),
            time_zone: self.time_zone,
            currency: self.currency,
        }))
    }
}
