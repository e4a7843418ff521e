-- What analysts query, and what the read side's own reports are made of: one definition of each figure.
--
-- Every view runs with the rights of who asks (`security_invoker`), so that the row-level security of the tables behind
-- it decides what is seen. Reports of the server, which sees all associations, name `tenant_id` in each query.

CREATE OR REPLACE VIEW reporting.plans WITH (security_invoker = true) AS
SELECT tenant_id, plan_id, code, name, retired FROM read.reporting_plan;

CREATE OR REPLACE VIEW reporting.memberships WITH (security_invoker = true) AS
SELECT m.tenant_id, m.membership_id, m.member_id, m.plan_id, p.code AS plan_code, p.name AS plan_name,
       m.joined_on, m.active, m.starts_on, m.ends_on
  FROM read.reporting_membership m
  LEFT JOIN read.reporting_plan p USING (tenant_id, plan_id);

CREATE OR REPLACE VIEW reporting.membership_status_spans WITH (security_invoker = true) AS
SELECT s.tenant_id, s.membership_id, s.member_id, s.plan_id, p.code AS plan_code, p.name AS plan_name,
       s.status, s.from_on, s.to_on
  FROM read.reporting_status_span s
  LEFT JOIN read.reporting_plan p USING (tenant_id, plan_id);

CREATE OR REPLACE FUNCTION reporting.memberships_as_of(day date)
RETURNS TABLE (tenant_id uuid, plan_id uuid, plan_code text, plan_name text, status text, memberships bigint)
LANGUAGE sql STABLE SECURITY INVOKER PARALLEL SAFE AS $$
    SELECT s.tenant_id, s.plan_id, s.plan_code, s.plan_name, s.status, count(*)
      FROM reporting.membership_status_spans s
     WHERE s.from_on <= day AND (s.to_on IS NULL OR day <= s.to_on)
     GROUP BY s.tenant_id, s.plan_id, s.plan_code, s.plan_name, s.status
$$;

CREATE OR REPLACE VIEW reporting.joiners_renewals_lapses_per_month WITH (security_invoker = true) AS
WITH movement AS (
    SELECT tenant_id, joined_on AS happened_on, 1 AS joined, 0 AS renewed, 0 AS lapsed, 0 AS cancelled
      FROM read.reporting_membership WHERE active
    UNION ALL
    SELECT tenant_id, renewed_on, 0, 1, 0, 0 FROM read.reporting_renewal
    UNION ALL
    SELECT tenant_id, from_on, 0, 0, (status = 'expired')::int, (status = 'cancelled')::int
      FROM (SELECT tenant_id, from_on, status,
                   lag(status) OVER (PARTITION BY tenant_id, membership_id ORDER BY from_on) AS before
              FROM read.reporting_status_span) span
     WHERE status IN ('expired', 'cancelled') AND status IS DISTINCT FROM before
)
SELECT tenant_id, date_trunc('month', happened_on)::date AS month,
       sum(joined)::bigint AS joined, sum(renewed)::bigint AS renewed,
       sum(lapsed)::bigint AS lapsed, sum(cancelled)::bigint AS cancelled
  FROM movement
 GROUP BY tenant_id, date_trunc('month', happened_on)::date;

CREATE OR REPLACE VIEW reporting.event_registrations WITH (security_invoker = true) AS
SELECT r.tenant_id, r.event_id, e.title, r.registration_id, r.ticket_type, r.places, r.standing, r.member_id,
       r.fee_minor, r.currency, r.over_capacity, r.checked_in_at
  FROM read.reporting_registration r
  LEFT JOIN read.reporting_event e USING (tenant_id, event_id);

CREATE OR REPLACE VIEW reporting.event_fill WITH (security_invoker = true) AS
WITH pool AS (
    SELECT r.tenant_id, r.event_id, p.pool, p.size
      FROM read.reporting_roster r, unnest(r.pools, r.sizes) AS p(pool, size)
), drawn AS (
    SELECT t.tenant_id, t.event_id, pool.name AS pool, g.standing, g.places
      FROM read.reporting_roster t,
           jsonb_to_recordset(t.ticket_types) AS ticket(code text, pools jsonb),
           jsonb_array_elements_text(ticket.pools) AS pool(name),
           read.reporting_registration g
     WHERE g.tenant_id = t.tenant_id AND g.event_id = t.event_id AND g.ticket_type = ticket.code
), filled AS (
    SELECT tenant_id, event_id, pool,
           coalesce(sum(places) FILTER (WHERE standing IN ('confirmed', 'checked_in', 'no_show')), 0)::bigint AS confirmed,
           coalesce(sum(places) FILTER (WHERE standing IN ('pending', 'approval')), 0)::bigint AS pending,
           coalesce(sum(places) FILTER (WHERE standing = 'held'), 0)::bigint AS held,
           coalesce(sum(places) FILTER (WHERE standing = 'offered'), 0)::bigint AS offered,
           coalesce(sum(places) FILTER (WHERE standing = 'waitlisted'), 0)::bigint AS waitlisted
      FROM drawn GROUP BY tenant_id, event_id, pool
)
SELECT tenant_id, event_id, e.title, e.starts_local, e.time_zone, coalesce(e.cancelled, false) AS cancelled, pool, p.size,
       coalesce(f.confirmed, 0) AS confirmed, coalesce(f.pending, 0) AS pending, coalesce(f.held, 0) AS held,
       coalesce(f.offered, 0) AS offered, coalesce(f.waitlisted, 0) AS waitlisted,
       -- `greatest` alone would make 0 of "no limit".
       CASE WHEN p.size IS NOT NULL
            THEN greatest(p.size - coalesce(f.confirmed + f.pending + f.held + f.offered, 0), 0) END AS available
  FROM pool p
  LEFT JOIN filled f USING (tenant_id, event_id, pool)
  LEFT JOIN read.reporting_event e USING (tenant_id, event_id);

CREATE OR REPLACE VIEW reporting.event_attendance WITH (security_invoker = true) AS
SELECT e.tenant_id, e.event_id, e.title, e.starts_local, e.time_zone, e.cancelled,
       count(r.registration_id) AS registrations,
       coalesce(sum(r.places) FILTER (WHERE r.standing IN ('confirmed', 'checked_in', 'no_show')), 0)::bigint AS expected,
       coalesce(sum(r.places) FILTER (WHERE r.standing = 'checked_in'), 0)::bigint AS attended,
       coalesce(sum(r.places) FILTER (WHERE r.standing = 'no_show'), 0)::bigint AS no_shows,
       coalesce(sum(r.places) FILTER (WHERE r.standing IN ('cancelled', 'declined', 'expired')), 0)::bigint AS given_up,
       coalesce(sum(r.places) FILTER (WHERE r.standing = 'waitlisted'), 0)::bigint AS waitlisted
  FROM read.reporting_event e
  LEFT JOIN read.reporting_registration r USING (tenant_id, event_id)
 GROUP BY e.tenant_id, e.event_id;

CREATE OR REPLACE VIEW reporting.revenue_by_month_and_kind WITH (security_invoker = true) AS
SELECT tenant_id, date_trunc('month', earned_on)::date AS month, kind, currency,
       sum(amount_minor)::bigint AS amount_minor, count(*) AS records
  FROM read.reporting_revenue
 GROUP BY tenant_id, date_trunc('month', earned_on)::date, kind, currency;

CREATE OR REPLACE VIEW reporting.contributions WITH (security_invoker = true) AS
SELECT tenant_id, payment_id, kind, standing, currency, amount_minor, happened_on FROM read.reporting_contribution;

CREATE OR REPLACE VIEW reporting.invoices WITH (security_invoker = true) AS
SELECT i.tenant_id, i.invoice_id, i.bill_to, i.purpose, i.series, i.number, i.dated, i.due_on, i.currency,
       i.total_minor, i.tax_minor, i.credited_minor, i.total_minor + coalesce(sum(m.amount_minor), 0)::bigint AS open_minor
  FROM read.reporting_invoice i
  LEFT JOIN read.reporting_invoice_movement m USING (tenant_id, invoice_id)
 GROUP BY i.tenant_id, i.invoice_id;

CREATE OR REPLACE FUNCTION reporting.invoice_ageing_as_of(day date)
RETURNS TABLE (tenant_id uuid, bucket text, currency text, invoices bigint, open_minor bigint)
LANGUAGE sql STABLE SECURITY INVOKER PARALLEL SAFE AS $$
    SELECT o.tenant_id, o.bucket, o.currency, count(*), sum(o.open_minor)::bigint
      FROM (SELECT i.tenant_id, i.currency,
                   CASE WHEN day <= i.due_on THEN 'current'
                        WHEN day - i.due_on <= 30 THEN '1-30'
                        WHEN day - i.due_on <= 60 THEN '31-60'
                        WHEN day - i.due_on <= 90 THEN '61-90'
                        ELSE '>90' END AS bucket,
                   i.total_minor + coalesce(sum(m.amount_minor), 0)::bigint AS open_minor
              FROM read.reporting_invoice i
              LEFT JOIN read.reporting_invoice_movement m
                     ON m.tenant_id = i.tenant_id AND m.invoice_id = i.invoice_id AND m.happened_on <= day
             WHERE i.number IS NOT NULL AND i.dated <= day
             GROUP BY i.tenant_id, i.invoice_id) o
     WHERE o.open_minor > 0
     GROUP BY o.tenant_id, o.bucket, o.currency
$$;

CREATE OR REPLACE VIEW reporting.journal WITH (security_invoker = true) AS
SELECT e.tenant_id, e.entry_id, e.dated, e.kind, e.description, e.currency, e.record_id, e.stream, e.rule_version,
       l.line, l.role, a.account_code, a.account_name, a.account_type, l.debit_minor, l.credit_minor
  FROM read.erp_journal_entry e
  JOIN read.erp_journal_line l USING (tenant_id, entry_id)
  LEFT JOIN LATERAL (
        SELECT m.account_code, m.account_name, m.account_type
          FROM settings.account_mapping m
         WHERE m.role = l.role AND m.valid_from <= e.dated
           AND m.tenant_id IN (e.tenant_id, '00000000-0000-0000-0000-000000000000')
         ORDER BY (m.tenant_id = e.tenant_id) DESC, m.valid_from DESC
         LIMIT 1) a ON true;

-- What each of them means, for those who find them in a tool --------------------------------------------------------------

COMMENT ON SCHEMA reporting IS
    'Views and functions for analysts. All amounts are whole minor units (cents) of the ISO 4217 currency beside them; '
    'all dates are local to the association.';

COMMENT ON VIEW reporting.plans IS 'The membership plans, as they are now.';
COMMENT ON COLUMN reporting.plans.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.plans.plan_id IS 'The plan.';
COMMENT ON COLUMN reporting.plans.code IS 'Its code, unique within the association.';
COMMENT ON COLUMN reporting.plans.name IS 'Its name.';
COMMENT ON COLUMN reporting.plans.retired IS 'True when it can no longer be applied for.';

COMMENT ON VIEW reporting.memberships IS 'Every membership, with its latest plan and term. For its status on a date use membership_status_spans.';
COMMENT ON COLUMN reporting.memberships.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.memberships.membership_id IS 'The membership.';
COMMENT ON COLUMN reporting.memberships.member_id IS 'Whose it is.';
COMMENT ON COLUMN reporting.memberships.plan_id IS 'Its plan.';
COMMENT ON COLUMN reporting.memberships.plan_code IS 'The plan''s code.';
COMMENT ON COLUMN reporting.memberships.plan_name IS 'The plan''s name.';
COMMENT ON COLUMN reporting.memberships.joined_on IS 'The join date; the day of applying while it is pending.';
COMMENT ON COLUMN reporting.memberships.active IS 'True once a first term has run or was imported.';
COMMENT ON COLUMN reporting.memberships.starts_on IS 'First day of the membership as people read it; empty while pending.';
COMMENT ON COLUMN reporting.memberships.ends_on IS 'Last day of the latest term; empty while pending and for life.';

COMMENT ON VIEW reporting.membership_status_spans IS
    'The status of each membership over time. As of a date d: WHERE from_on <= d AND (to_on IS NULL OR d <= to_on). '
    'Spans in the future say what will be so if nothing else happens.';
COMMENT ON COLUMN reporting.membership_status_spans.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.membership_status_spans.membership_id IS 'The membership.';
COMMENT ON COLUMN reporting.membership_status_spans.member_id IS 'Whose it is.';
COMMENT ON COLUMN reporting.membership_status_spans.plan_id IS 'Its plan during the span.';
COMMENT ON COLUMN reporting.membership_status_spans.plan_code IS 'That plan''s code.';
COMMENT ON COLUMN reporting.membership_status_spans.plan_name IS 'That plan''s name.';
COMMENT ON COLUMN reporting.membership_status_spans.status IS 'new, current, grace, expired, pending, cancelled or deceased.';
COMMENT ON COLUMN reporting.membership_status_spans.from_on IS 'First day of the span.';
COMMENT ON COLUMN reporting.membership_status_spans.to_on IS 'Last day of the span; empty where it has no end.';

COMMENT ON FUNCTION reporting.memberships_as_of(date) IS
    'Memberships by plan and status as of a date: SELECT * FROM reporting.memberships_as_of(''2026-01-31'').';

COMMENT ON VIEW reporting.joiners_renewals_lapses_per_month IS
    'Movements by month. Months to come hold the lapses to expect if nobody renews.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.month IS 'First day of the month.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.joined IS 'Memberships with their join date in the month that became active.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.renewed IS 'Renewals recorded in the month.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.lapsed IS 'Memberships that were expired from a day of the month on.';
COMMENT ON COLUMN reporting.joiners_renewals_lapses_per_month.cancelled IS 'Memberships that were cancelled from a day of the month on.';

COMMENT ON VIEW reporting.event_registrations IS 'Every registration and where it stands now.';
COMMENT ON COLUMN reporting.event_registrations.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.event_registrations.event_id IS 'The association event.';
COMMENT ON COLUMN reporting.event_registrations.title IS 'Its title.';
COMMENT ON COLUMN reporting.event_registrations.registration_id IS 'The registration.';
COMMENT ON COLUMN reporting.event_registrations.ticket_type IS 'What was registered for.';
COMMENT ON COLUMN reporting.event_registrations.places IS 'For how many.';
COMMENT ON COLUMN reporting.event_registrations.standing IS
    'held, approval, pending, confirmed, checked_in, no_show, waitlisted, offered, declined, cancelled or expired.';
COMMENT ON COLUMN reporting.event_registrations.member_id IS 'Who; empty for guests.';
COMMENT ON COLUMN reporting.event_registrations.fee_minor IS 'The fee for all places.';
COMMENT ON COLUMN reporting.event_registrations.currency IS 'Its currency.';
COMMENT ON COLUMN reporting.event_registrations.over_capacity IS 'True for imported history beyond a pool''s size.';
COMMENT ON COLUMN reporting.event_registrations.checked_in_at IS 'When they came, by the scanner''s clock.';

COMMENT ON VIEW reporting.event_fill IS 'How full each capacity pool of each association event is.';
COMMENT ON COLUMN reporting.event_fill.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.event_fill.event_id IS 'The association event.';
COMMENT ON COLUMN reporting.event_fill.title IS 'Its title.';
COMMENT ON COLUMN reporting.event_fill.starts_local IS 'Its start, local to time_zone.';
COMMENT ON COLUMN reporting.event_fill.time_zone IS 'The IANA zone of the start.';
COMMENT ON COLUMN reporting.event_fill.cancelled IS 'True when it does not take place.';
COMMENT ON COLUMN reporting.event_fill.pool IS 'The capacity pool.';
COMMENT ON COLUMN reporting.event_fill.size IS 'How many places it has; empty where there is no limit.';
COMMENT ON COLUMN reporting.event_fill.confirmed IS 'Places confirmed, whether the people came or not.';
COMMENT ON COLUMN reporting.event_fill.pending IS 'Places that wait for a payment or an approval.';
COMMENT ON COLUMN reporting.event_fill.held IS 'Places held for a short while.';
COMMENT ON COLUMN reporting.event_fill.offered IS 'Places offered to the waitlist.';
COMMENT ON COLUMN reporting.event_fill.waitlisted IS 'Places people wait for.';
COMMENT ON COLUMN reporting.event_fill.available IS 'Places left; empty where there is no limit.';

COMMENT ON VIEW reporting.event_attendance IS 'Who was expected at each association event and who came, in places.';
COMMENT ON COLUMN reporting.event_attendance.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.event_attendance.event_id IS 'The association event.';
COMMENT ON COLUMN reporting.event_attendance.title IS 'Its title.';
COMMENT ON COLUMN reporting.event_attendance.starts_local IS 'Its start, local to time_zone.';
COMMENT ON COLUMN reporting.event_attendance.time_zone IS 'The IANA zone of the start.';
COMMENT ON COLUMN reporting.event_attendance.cancelled IS 'True when it does not take place.';
COMMENT ON COLUMN reporting.event_attendance.registrations IS 'All registrations, in whatever standing.';
COMMENT ON COLUMN reporting.event_attendance.expected IS 'Places confirmed.';
COMMENT ON COLUMN reporting.event_attendance.attended IS 'Places checked in.';
COMMENT ON COLUMN reporting.event_attendance.no_shows IS 'Places recorded as not used.';
COMMENT ON COLUMN reporting.event_attendance.given_up IS 'Places cancelled, declined or lapsed.';
COMMENT ON COLUMN reporting.event_attendance.waitlisted IS 'Places people wait for.';

COMMENT ON VIEW reporting.revenue_by_month_and_kind IS
    'Revenue as invoiced: amounts after discount and before tax, on the invoice''s date, less credit notes on theirs; '
    'and imported contributions that were completed. When revenue is recognised says the journal.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.month IS 'First day of the month.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.kind IS 'dues, event_fee, donation or other.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.currency IS 'ISO 4217.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.amount_minor IS 'The sum in minor units.';
COMMENT ON COLUMN reporting.revenue_by_month_and_kind.records IS 'How many invoices, credit notes and contributions it comes from.';

COMMENT ON VIEW reporting.contributions IS 'Contributions imported from another system, in whatever standing.';
COMMENT ON COLUMN reporting.contributions.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.contributions.payment_id IS 'The contribution.';
COMMENT ON COLUMN reporting.contributions.kind IS 'dues, event_fee, donation or other.';
COMMENT ON COLUMN reporting.contributions.standing IS 'completed, pending, cancelled, failed or refunded.';
COMMENT ON COLUMN reporting.contributions.currency IS 'ISO 4217.';
COMMENT ON COLUMN reporting.contributions.amount_minor IS 'The amount in minor units.';
COMMENT ON COLUMN reporting.contributions.happened_on IS 'When it came, or was expected.';

COMMENT ON VIEW reporting.invoices IS 'Every invoice and what is open of it now. One without a number is a draft.';
COMMENT ON COLUMN reporting.invoices.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.invoices.invoice_id IS 'The invoice.';
COMMENT ON COLUMN reporting.invoices.bill_to IS 'Who is to pay: a member, or a guest.';
COMMENT ON COLUMN reporting.invoices.purpose IS 'What it is for: membership_dues, renewal_dues, event_fee or other.';
COMMENT ON COLUMN reporting.invoices.series IS 'The series its number is of.';
COMMENT ON COLUMN reporting.invoices.number IS 'Its number in the series, without gaps.';
COMMENT ON COLUMN reporting.invoices.dated IS 'Its date.';
COMMENT ON COLUMN reporting.invoices.due_on IS 'When it is to be paid.';
COMMENT ON COLUMN reporting.invoices.currency IS 'ISO 4217, of all its amounts.';
COMMENT ON COLUMN reporting.invoices.total_minor IS 'The sum to pay, tax included.';
COMMENT ON COLUMN reporting.invoices.tax_minor IS 'Of which tax.';
COMMENT ON COLUMN reporting.invoices.credited_minor IS 'Taken back by credit notes.';
COMMENT ON COLUMN reporting.invoices.open_minor IS 'Still to be paid; negative where a credit note came after the payment.';

COMMENT ON FUNCTION reporting.invoice_ageing_as_of(date) IS
    'What was open on a date, by days past due: current, 1-30, 31-60, 61-90, >90. '
    'SELECT * FROM reporting.invoice_ageing_as_of(''2026-01-31'').';

COMMENT ON VIEW reporting.journal IS
    'The general journal, one row for each line; the lines of an entry balance. Accounts by settings.account_mapping.';
COMMENT ON COLUMN reporting.journal.tenant_id IS 'The association.';
COMMENT ON COLUMN reporting.journal.entry_id IS 'The entry; the external id an ERP knows it by.';
COMMENT ON COLUMN reporting.journal.dated IS 'Its date; recognition entries may lie in the future.';
COMMENT ON COLUMN reporting.journal.kind IS 'What was booked: invoice, credit_note, recognition, payment, refund ….';
COMMENT ON COLUMN reporting.journal.description IS 'The same for people.';
COMMENT ON COLUMN reporting.journal.currency IS 'ISO 4217, of all lines of the entry.';
COMMENT ON COLUMN reporting.journal.record_id IS 'The record of history it follows from.';
COMMENT ON COLUMN reporting.journal.stream IS 'The stream of that record.';
COMMENT ON COLUMN reporting.journal.rule_version IS 'The version of the posting rules.';
COMMENT ON COLUMN reporting.journal.line IS 'The line of the entry, from 1.';
COMMENT ON COLUMN reporting.journal.role IS 'What the account is for: receivable, cash, deferred_dues ….';
COMMENT ON COLUMN reporting.journal.account_code IS 'The account, by the association''s mapping on the entry''s date.';
COMMENT ON COLUMN reporting.journal.account_name IS 'The account''s name.';
COMMENT ON COLUMN reporting.journal.account_type IS 'asset, liability, equity, income or expense.';
COMMENT ON COLUMN reporting.journal.debit_minor IS 'Debit in minor units; 0 on a credit line.';
COMMENT ON COLUMN reporting.journal.credit_minor IS 'Credit in minor units; 0 on a debit line.';
