use guildhall_aggregates::{
    PaymentId, RefundId,
    payment::{self, Payment},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    wire::{Amount, Line},
};

/// Give a part or all of a payment back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundPayment {
    /// Which payment.
    #[schema(value_type = Uuid)]
    payment_id: PaymentId,
    /// The refund's id; a new one where not given.
    #[schema(value_type = Option<Uuid>)]
    refund_id: Option<RefundId>,
    /// How much; never more than was received and not given back.
    amount: Amount,
    /// Why, as the books read it; must not say anything about a person.
    reason: Line,
}

impl Endpoint for RefundPayment {
    const NAME: &'static str = "RefundPayment";
    type Aggregate = Payment;

    fn stream(&self, _: &Origin) -> Uuid {
        self.payment_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<Payment>, Problem> {
        let refund_id = context.origin.given_or_new(self.refund_id.map(RefundId::uuid));
        Ok(Prepared::of(payment::RefundPayment {
            refund_id: refund_id.into(),
            amount: self.amount.into(),
            reason: self.reason.into(),
            today: context.today()?,
        }))
    }
}
