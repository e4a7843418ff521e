//! Reading the directory. Everybody sees what the members let them: the rows a viewer gets are chosen in the query, and
//! what of a row they get is decided here, in one place.

use std::collections::HashMap;

use chrono::NaiveDate;
use deadpool_postgres::Client;
use guildhall_aggregates::{MemberId, TenantId, membership::MembershipStatus};
use postgres_types::ToSql;
use serde::Serialize;
use uuid::Uuid;

use super::{
    STANDING,
    member::{MemberRow, TABLE},
};

/// The largest page.
const LARGEST_PAGE: usize = 200;
/// More words than these are no name.
const MOST_WORDS: usize = 6;
/// How alike a name must be to what was typed to count as the same with a typing error: "smiht" finds Smith.
const ALIKE: &str = "0.45";

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Anybody: sees public profiles, and no way to reach the person.
    Public,
    /// A member: sees who is listed, what they show, and all of themself.
    Member(MemberId),
    /// The association's staff: sees everything.
    Staff,
}

/// What is looked for; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The beginning of each word of the name, or something like the name; case and accents do not matter.
    pub name: Option<String>,
    /// The code of a plan they have a membership of. Finds nobody for the public, which does not see memberships.
    pub plan: Option<String>,
    /// The status a membership of theirs has today. Finds nobody for the public.
    pub status: Option<MembershipStatus>,
    /// A credential they hold.
    pub credential: Option<String>,
    /// Where they live; case and accents do not matter.
    pub city: Option<String>,
    /// An organization they belong to.
    pub organization: Option<MemberId>,
}

/// A member as the viewer may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Who.
    pub member_id: Uuid,
    /// `person`, `organization` or `household`.
    pub kind: String,
    /// The association's own number for them; for staff and themself.
    pub member_number: Option<String>,
    /// What they are called.
    pub display_name: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// E-mail address, where shown.
    pub email: Option<String>,
    /// Telephone number, where shown.
    pub phone: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// State, province or county.
    pub region: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Position held.
    pub job_title: Option<String>,
    /// Text about the person.
    pub biography: Option<String>,
    /// Where a picture is.
    pub picture_url: Option<String>,
    /// Their pages elsewhere.
    pub social_links: Vec<String>,
    /// Credentials held, in alphabetical order.
    pub credentials: Vec<String>,
    /// Organizations they belong to.
    pub organizations: Vec<Uuid>,
    /// Whether the viewer may send them a message.
    pub accepts_messages: bool,
    /// Points out of 100 for a complete profile; for staff and themself.
    pub completeness: Option<i16>,
    /// Their memberships today; not for the public.
    pub memberships: Vec<Standing>,
    /// Whether they have died.
    pub deceased: bool,
    /// Whether their personal data was erased.
    pub forgotten: bool,
}

/// Where one membership stands today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Which membership.
    pub membership_id: Uuid,
    /// The plan's code.
    pub plan: Option<String>,
    /// Its status today.
    pub status: String,
}

/// One page of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The members, best match first, then by name.
    pub members: Vec<Entry>,
    /// Where the next page begins: give it as `after`. None on the last page. It is a member's id and says nothing more.
    pub next: Option<Uuid>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The member a page was to begin after is not there any more.
    #[error("the page to go on from is gone; start again from the first page")]
    StaleCursor,
    /// Postgres refused or is not there.
    #[error("the directory cannot be read: {0}")]
    Database(#[from] tokio_postgres::Error),
}

/// A page of an association's directory as `viewer` may see it; `today` is the association's date. `limit` is between 1
/// and 200.
pub async fn page(
    client: &Client,
    tenant: TenantId,
    today: NaiveDate,
    viewer: Viewer,
    filter: &Filter,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Page, PageError> {
    let limit = limit.clamp(1, LARGEST_PAGE);
    let mut query = Query::default();
    let tenant_at = query.bind(tenant.uuid());
    query.conditions.push(format!("m.tenant_id = {tenant_at} AND m.display_name IS NOT NULL"));
    query.restrict_to(viewer);
    query.narrow(filter, today);
    if viewer == Viewer::Public && (filter.plan.is_some() || filter.status.is_some()) {
        // The public does not see memberships, so it cannot find out about them by asking either.
        query.conditions.push("false".to_owned());
    }
    let rank = query.rank.clone().unwrap_or_else(|| "0".to_owned());
    let sort = "read.search_form(m.sort_name) COLLATE \"C\"";
    if let Some(after) = after {
        // The order of the row the last page ended with is looked up again, so no name has to travel in an address.
        let sql = format!("SELECT {rank}, {sort}, m.member_id FROM read.{TABLE} m WHERE m.tenant_id = {tenant_at}");
        let cursor = query.bind(after);
        let row = format!("({sql} AND m.display_name IS NOT NULL AND m.member_id = {cursor})");
        query.conditions.push(format!("({rank}, {sort}, m.member_id) > {row}"));
    }
    // One more than asked for tells whether there is a next page.
    let sql = format!(
        "SELECT ROW(m.*)::read.{TABLE} FROM read.{TABLE} m WHERE {} ORDER BY {} {sort}, m.member_id LIMIT {}",
        query.conditions.join(" AND "),
        query.rank.as_ref().map_or(String::new(), |rank| format!("{rank},")),
        limit + 1
    );
    if let Some(after) = after {
        known(client, tenant, after).await?;
    }
    let parameters = query.parameters();
    let alike = format!("SET pg_trgm.word_similarity_threshold = {ALIKE}");
    // Planned for these values every time: which index is best depends on what is looked for.
    let rows = if query.rank.is_some() {
        let ((), rows) = futures::try_join!(client.batch_execute(&alike), client.query(&sql, &parameters))?;
        rows
    } else {
        client.query(&sql, &parameters).await?
    };
    let mut rows = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<MemberRow>, _>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.member_id);
    Ok(Page { members: shown(client, tenant, today, viewer, rows).await?, next })
}

/// One member as `viewer` may see them; none if the viewer may not know of them. Staff also sees who was forgotten.
pub async fn member(
    client: &Client,
    tenant: TenantId,
    today: NaiveDate,
    viewer: Viewer,
    id: MemberId,
) -> Result<Option<Entry>, PageError> {
    let mut query = Query::default();
    let (tenant_at, id) = (query.bind(tenant.uuid()), query.bind(id.uuid()));
    query.conditions.push(format!("m.tenant_id = {tenant_at} AND m.member_id = {id}"));
    query.restrict_to(viewer);
    let condition = query.conditions.join(" AND ");
    let sql = format!("SELECT ROW(m.*)::read.{TABLE} FROM read.{TABLE} m WHERE {condition}");
    let statement = client.prepare_cached(&sql).await?;
    let rows = client.query(&statement, &query.parameters()).await?;
    let rows = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<MemberRow>, _>>()?;
    Ok(shown(client, tenant, today, viewer, rows).await?.pop())
}

async fn known(client: &Client, tenant: TenantId, member: Uuid) -> Result<(), PageError> {
    let sql =
        format!("SELECT 1 FROM read.{TABLE} WHERE tenant_id = $1 AND member_id = $2 AND display_name IS NOT NULL");
    let statement = client.prepare_cached(&sql).await?;
    let found = client.query_opt(&statement, &[&tenant.uuid(), &member]).await?;
    found.map(|_| ()).ok_or(PageError::StaleCursor)
}

/// A query that grows by conditions; values only ever go in as parameters.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    rank: Option<String>,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Query {
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }

    /// Which members the viewer may know of.
    fn restrict_to(&mut self, viewer: Viewer) {
        match viewer {
            Viewer::Public => {
                self.conditions.push("m.show_in_directory AND m.public_profile AND NOT m.deceased".to_owned());
            }
            Viewer::Member(own) => {
                let own = self.bind(own.uuid());
                self.conditions.push(format!("(m.member_id = {own} OR (m.show_in_directory AND NOT m.deceased))"));
            }
            Viewer::Staff => {}
        }
    }

    fn narrow(&mut self, filter: &Filter, today: NaiveDate) {
        if let Some(name) = filter.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
            self.look_for(name);
        }
        if let Some(credential) = &filter.credential {
            let held = self.bind(vec![credential.clone()]);
            self.conditions.push(format!("m.credentials @> {held}::text[]"));
        }
        if let Some(organization) = filter.organization {
            let of = self.bind(vec![organization.uuid()]);
            self.conditions.push(format!("m.organizations @> {of}::uuid[]"));
        }
        if let Some(city) = &filter.city {
            let city = self.bind(city.clone());
            self.conditions.push(format!("read.search_form(m.city) = read.search_form({city}::text)"));
        }
        if filter.plan.is_some() || filter.status.is_some() {
            self.of_standing(filter, today);
        }
    }

    fn look_for(&mut self, name: &str) {
        const FORM: &str = "read.search_form(m.display_name)";
        let words: Vec<String> = name.split_whitespace().take(MOST_WORDS).map(str::to_owned).collect();
        let mut begins = Vec::new();
        for word in &words {
            let pattern = word.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
            let pattern = self.bind(pattern);
            let form = format!("read.search_form({pattern}::text)");
            begins.push(format!("({FORM} LIKE {form} || '%' OR {FORM} LIKE '% ' || {form} || '%')"));
        }
        let whole = self.bind(words.join(" "));
        let form = format!("read.search_form({whole}::text)");
        let begins = begins.join(" AND ");
        self.conditions.push(format!("(({begins}) OR {form} OPERATOR(public.<%) {FORM})"));
        // Names that begin with what was typed, then names with words that do, then names that are alike.
        self.rank = Some(format!("(CASE WHEN starts_with({FORM}, {form}) THEN 0 WHEN {begins} THEN 1 ELSE 2 END)"));
    }

    fn of_standing(&mut self, filter: &Filter, today: NaiveDate) {
        let today = self.bind(today);
        let status = filter.status.map(|status| self.bind(<&'static str>::from(status)));
        let of_status = status.map_or(String::new(), |status| format!("AND s.status = {status}"));
        let plan = filter.plan.as_ref().map(|plan| self.bind(plan.clone()));
        let of_plan = plan.map_or(String::new(), |plan| format!("AND p.code = {plan}"));
        let spans = format!(
            "SELECT 1 FROM read.{} s LEFT JOIN read.{} p USING (tenant_id, plan_id) \
             WHERE s.tenant_id = m.tenant_id AND s.member_id = m.member_id {of_status} {of_plan} \
             AND s.from_on <= {today} AND (s.to_on IS NULL OR {today} <= s.to_on)",
            STANDING.span, STANDING.plan
        );
        self.conditions.push(format!("EXISTS ({spans})"));
    }
}

/// The rows as the viewer may see them, each with where its memberships stand today.
async fn shown(
    client: &Client,
    tenant: TenantId,
    today: NaiveDate,
    viewer: Viewer,
    rows: Vec<MemberRow>,
) -> Result<Vec<Entry>, tokio_postgres::Error> {
    let mut standings: HashMap<Uuid, Vec<Standing>> = HashMap::new();
    if viewer != Viewer::Public && !rows.is_empty() {
        let sql = format!(
            "SELECT s.member_id, s.membership_id, p.code, s.status FROM read.{} s \
             LEFT JOIN read.{} p USING (tenant_id, plan_id) \
             WHERE s.tenant_id = $1 AND s.member_id = ANY ($2) AND s.from_on <= $3 AND (s.to_on IS NULL OR $3 <= s.to_on) \
             ORDER BY p.code, s.membership_id",
            STANDING.span, STANDING.plan
        );
        let ids: Vec<Uuid> = rows.iter().map(|row| row.member_id).collect();
        let statement = client.prepare_cached(&sql).await?;
        for row in client.query(&statement, &[&tenant.uuid(), &ids, &today]).await? {
            let standing = Standing { membership_id: row.get(1), plan: row.get(2), status: row.get(3) };
            standings.entry(row.get(0)).or_default().push(standing);
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let memberships = standings.remove(&row.member_id).unwrap_or_default();
            redacted(row, viewer, memberships)
        })
        .collect())
}

/// What of a row the viewer gets to see. The one place where privacy switches are read.
fn redacted(row: MemberRow, viewer: Viewer, memberships: Vec<Standing>) -> Entry {
    let all = viewer == Viewer::Staff || viewer == Viewer::Member(MemberId::new(row.member_id));
    let fellow = viewer != Viewer::Public;
    Entry {
        member_id: row.member_id,
        kind: row.kind,
        member_number: row.member_number.filter(|_| all),
        display_name: row.display_name,
        first_name: row.first_name,
        last_name: row.last_name,
        email: row.email.filter(|_| all || (fellow && row.show_email)),
        phone: row.phone.filter(|_| all || (fellow && row.show_phone)),
        city: row.city,
        region: row.region,
        country: row.country,
        job_title: row.job_title,
        biography: row.biography,
        picture_url: row.picture_url,
        social_links: row.social_links,
        credentials: row.credentials,
        organizations: row.organizations,
        accepts_messages: fellow && row.allow_messages && !row.deceased,
        completeness: Some(row.completeness).filter(|_| all),
        memberships,
        deceased: row.deceased,
        forgotten: row.forgotten,
    }
}
