//! Identities. Every id is a UUID behind a type of its own, so that a member can never stand where an
//! invoice is meant.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of one thing of kind `K`. Written and read as a plain UUID.
///
/// ```
/// use guildhall_aggregates::MemberId;
/// let id: MemberId = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
/// assert_eq!(id.to_string(), "0198c0de-0000-7000-8000-000000000001");
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<K> {
    value: Uuid,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    /// The id with this UUID. Any UUID is an id; nothing says here that the thing exists.
    pub const fn new(value: Uuid) -> Self {
        Self { value, kind: PhantomData }
    }

    /// The bare UUID.
    pub const fn uuid(self) -> Uuid {
        self.value
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
impl<K> Default for Id<K> {
    fn default() -> Self {
        Self::new(Uuid::nil())
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::new)
    }
}
impl<K> From<Uuid> for Id<K> {
    fn from(value: Uuid) -> Self {
        Self::new(value)
    }
}
impl<K> JsonSchema for Id<K> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

/// The kinds of things that have an identity; each exists only to tell ids apart.
pub mod kind {
    /// An association: the wall around everything it owns.
    pub enum Association {}
    /// A person, organization or household the association knows.
    pub enum Member {}
    /// What can be bought as a membership.
    pub enum MembershipPlan {}
    /// One member's membership of one plan.
    pub enum Membership {}
    /// What members attend.
    pub enum AssociationEvent {}
    /// One registrant's place, or wish for one, at one association event.
    pub enum Registration {}
    /// A bill.
    pub enum Invoice {}
    /// Money received.
    pub enum Payment {}
    /// Money given back.
    pub enum Refund {}
    /// A correction of an issued invoice.
    pub enum CreditNote {}
    /// A person whose personal data one data key protects.
    pub enum Subject {}
}

/// An association, which is also the tenant: nothing crosses from one to another.
pub type TenantId = Id<kind::Association>;
/// A member, contact or organization.
pub type MemberId = Id<kind::Member>;
/// A membership plan.
pub type PlanId = Id<kind::MembershipPlan>;
/// A membership.
pub type MembershipId = Id<kind::Membership>;
/// An association event; its roster has the same id.
pub type AssociationEventId = Id<kind::AssociationEvent>;
/// A registration in a roster.
pub type RegistrationId = Id<kind::Registration>;
/// An invoice.
pub type InvoiceId = Id<kind::Invoice>;
/// A payment.
pub type PaymentId = Id<kind::Payment>;
/// A refund of a payment.
pub type RefundId = Id<kind::Refund>;
/// A credit note to an invoice.
pub type CreditNoteId = Id<kind::CreditNote>;
/// The person personal data is about. A member's data has the member's own UUID as its subject.
pub type SubjectId = Id<kind::Subject>;

impl From<MemberId> for SubjectId {
    fn from(member: MemberId) -> Self {
        Self::new(member.uuid())
    }
}

/// The tenant of an association known by its short name (`slug`): the same slug is the same tenant on
/// every machine, so no registry has to be asked.
///
/// ```
/// use guildhall_aggregates::tenant_of_slug;
/// assert_eq!(tenant_of_slug("nurses"), tenant_of_slug("nurses"));
/// assert_ne!(tenant_of_slug("nurses"), tenant_of_slug("lawyers"));
/// ```
pub fn tenant_of_slug(slug: &str) -> TenantId {
    TenantId::new(derived(Uuid::NAMESPACE_DNS, &["guildhall", "association", slug]))
}

/// A UUID that follows from `scope` and `parts`: the same input gives the same id wherever it is computed.
/// Parts are length-prefixed, so `["ab", "c"]` and `["a", "bc"]` differ.
pub fn derived(scope: Uuid, parts: &[&str]) -> Uuid {
    let mut name = Vec::with_capacity(64);
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&scope, &name)
}
