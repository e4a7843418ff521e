//! Which tables and columns of an export are read. Everything else in it is left alone and named in the
//! report, so an export of another release is no obstacle unless something needed is gone.

/// What is read of one table.
pub(super) struct TableSpec {
    /// The table, and with `.csv` its file.
    pub(super) name: &'static str,
    /// Whether an export without it is refused.
    pub(super) needed: bool,
    /// Columns it must have; of several names in one entry, at least one.
    needed_columns: &'static [&'static [&'static str]],
    /// Columns that are read where they are there.
    other_columns: &'static [&'static str],
}

impl TableSpec {
    /// All columns that are read.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.needed_columns.iter().copied().flatten().chain(self.other_columns).copied()
    }

    /// What is needed of the table and not there: `contact.csv: column contact_type`.
    pub(super) fn missing(&self, has: impl Fn(&'static str) -> bool) -> Vec<String> {
        let lacking = self.needed_columns.iter().filter(|names| !names.iter().any(|&name| has(name)));
        lacking.map(|names| format!("{}.csv: column {}", self.name, names.join(" or "))).collect()
    }
}

const fn needed(
    name: &'static str,
    needed_columns: &'static [&'static [&'static str]],
    other_columns: &'static [&'static str],
) -> TableSpec {
    TableSpec { name, needed: true, needed_columns, other_columns }
}

const fn welcome(
    name: &'static str,
    needed_columns: &'static [&'static [&'static str]],
    other_columns: &'static [&'static str],
) -> TableSpec {
    TableSpec { name, needed: false, needed_columns, other_columns }
}

pub(super) const CONTACT: TableSpec = needed(
    "contact",
    &[&["id"], &["contact_type"], &["display_name"]],
    &[
        "first_name",
        "middle_name",
        "last_name",
        "organization_name",
        "household_name",
        "job_title",
        "birth_date",
        "is_deceased",
        "deceased_date",
        "employer_id",
        "do_not_email",
        "is_deleted",
    ],
);
pub(super) const EMAIL: TableSpec = welcome("email", &[&["id"], &["contact_id"], &["email"]], &["is_primary"]);
pub(super) const PHONE: TableSpec =
    welcome("phone", &[&["id"], &["contact_id"], &["phone"]], &["phone_ext", "is_primary"]);
pub(super) const ADDRESS: TableSpec = welcome(
    "address",
    &[&["id"], &["contact_id"]],
    &[
        "is_primary",
        "street_address",
        "supplemental_address_1",
        "supplemental_address_2",
        "supplemental_address_3",
        "city",
        "state_province_id",
        "postal_code",
        "country_id",
    ],
);
/// Names of states; only some exports have them.
pub(super) const STATE_PROVINCE: TableSpec = welcome("state_province", &[&["id"], &["name"]], &[]);
pub(super) const COUNTRY: TableSpec = welcome("country", &[&["id"], &["iso_code", "name"]], &[]);
pub(super) const RELATIONSHIP: TableSpec = welcome(
    "relationship",
    &[&["id"], &["contact_id_a"], &["contact_id_b"], &["relationship_type_id"]],
    &["end_date", "is_active"],
);
pub(super) const RELATIONSHIP_TYPE: TableSpec = welcome("relationship_type", &[&["id"], &["name_a_b"]], &[]);
pub(super) const MEMBERSHIP_STATUS: TableSpec = needed(
    "membership_status",
    &[&["id"], &["name"], &["start_event"], &["end_event"]],
    &[
        "start_event_adjust_unit",
        "start_event_adjust_interval",
        "end_event_adjust_unit",
        "end_event_adjust_interval",
        "is_current_member",
        "is_admin",
        "weight",
        "is_active",
    ],
);
pub(super) const MEMBERSHIP_TYPE: TableSpec = needed(
    "membership_type",
    &[&["id"], &["name"], &["minimum_fee"], &["duration_unit"], &["duration_interval"], &["period_type"]],
    &["fixed_period_start_day", "fixed_period_rollover_day", "relationship_type_id", "max_related", "is_active"],
);
pub(super) const MEMBERSHIP: TableSpec = needed(
    "membership",
    &[
        &["id"],
        &["contact_id"],
        &["membership_type_id"],
        &["join_date"],
        &["start_date"],
        &["end_date"],
        &["status_id"],
    ],
    &["is_override", "status_override_end_date", "owner_membership_id", "is_test"],
);
pub(super) const EVENT: TableSpec = needed(
    "event",
    &[&["id"], &["title"], &["start_date"]],
    &[
        "summary",
        "end_date",
        "is_online_registration",
        "registration_start_date",
        "registration_end_date",
        "max_participants",
        "is_monetary",
        "has_waitlist",
        "requires_approval",
        "currency",
        "is_active",
        "is_template",
    ],
);
pub(super) const PARTICIPANT: TableSpec = needed(
    "participant",
    &[&["id"], &["contact_id"], &["event_id"], &["status_id"]],
    &["register_date", "fee_level", "fee_amount", "fee_currency", "is_test"],
);
pub(super) const PARTICIPANT_STATUS_TYPE: TableSpec =
    needed("participant_status_type", &[&["id"], &["name"], &["class"]], &["is_counted"]);
pub(super) const CONTRIBUTION: TableSpec = needed(
    "contribution",
    &[
        &["id"],
        &["contact_id"],
        &["total_amount"],
        &["receive_date"],
        &["contribution_status_id"],
        &["financial_type_id", "contribution_type_id"],
    ],
    &["currency", "receipt_date", "cancel_date", "is_test"],
);
pub(super) const FINANCIAL_TYPE: TableSpec = welcome("financial_type", &[&["id"], &["name"]], &[]);
pub(super) const CONTRIBUTION_TYPE: TableSpec = welcome("contribution_type", &[&["id"], &["name"]], &[]);
pub(super) const MEMBERSHIP_PAYMENT: TableSpec =
    welcome("membership_payment", &[&["id"], &["membership_id"], &["contribution_id"]], &[]);
pub(super) const PARTICIPANT_PAYMENT: TableSpec =
    welcome("participant_payment", &[&["id"], &["participant_id"], &["contribution_id"]], &[]);

/// Tables that are known and not imported, and why.
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    ("activity", "activities are not kept here"),
    ("activity_contact", "activities are not kept here"),
    ("membership_payment", "compared, not kept: a payment that does not match is named with its contribution"),
    ("participant_payment", "compared, not kept: a payment that does not match is named with its contribution"),
    ("line_item", "contributions are imported as whole amounts"),
    ("membership_log", "it says when a row was edited, not which terms were sold"),
    ("note", "notes are not imported"),
    ("pledge", "a pledge is no payment; what was paid on it is in the contributions"),
    ("pledge_payment", "a pledge is no payment; what was paid on it is in the contributions"),
    ("price_field", "tickets are taken from what participants were charged"),
    ("price_field_value", "tickets are taken from what participants were charged"),
    ("price_set", "tickets are taken from what participants were charged"),
    ("price_set_entity", "tickets are taken from what participants were charged"),
];
