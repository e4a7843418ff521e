use guildhall_aggregates::{
    PaymentId,
    payment::{self, Payment},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared};

/// Record that the payer's bank took a payment back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordChargeback {
    /// Which payment.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
}

impl Endpoint for RecordChargeback {
    const NAME: &'static str = "RecordChargeback";
    type Aggregate = Payment;

    fn stream(&self, _: &Origin) -> Uuid {
        self.payment_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Payment>, Problem> {
        Ok(Prepared::of(payment::RecordChargeback { today: context.today()? }))
    }
}
