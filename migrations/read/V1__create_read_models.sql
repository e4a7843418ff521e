-- Read models: everything in schema `read` is a fold of history and can be dropped, migrated again and rebuilt.
-- Two schemas stand beside it. `settings` holds what people configured, which no history can bring back; it survives a
-- drop of `read`. `reporting` holds the views that analysts query.
--
-- The tables of a projection are written by its projector only, which names them without a schema: live they are found
-- in `read`, during a rebuild in a schema of its own. So every table has a primary key and no generated column, trigger
-- or foreign key that a copy made by `LIKE … INCLUDING ALL` would lack.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA public;

CREATE SCHEMA IF NOT EXISTS settings;
CREATE SCHEMA IF NOT EXISTS reporting;

-- Projections and how far they are ------------------------------------------------------------------------------------

CREATE TABLE read.projection (
    name       text PRIMARY KEY,
    version    integer NOT NULL,
    -- Where its events come from: `store` or `kafka`; NULL until the first source is claimed after a rebuild.
    transport  text CHECK (transport IN ('store', 'kafka')),
    -- Everything up to here was in the tables before any source of the present transport delivered.
    baseline   bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE read.projection IS 'One row for each projection: which version of it filled its tables, from which transport.';

CREATE TABLE read.checkpoint (
    projection    text NOT NULL REFERENCES read.projection ON DELETE CASCADE,
    -- `store`, or `kafka:<topic>:<partition>`.
    source        text NOT NULL,
    next_offset   bigint NOT NULL DEFAULT 0,
    last_position bigint NOT NULL DEFAULT 0,
    last_hash     bytea,
    -- Everything this source has to give up to this position is in the tables.
    reached       bigint NOT NULL DEFAULT 0,
    -- Raised whenever somebody takes the source over; a transaction that expects a lower one rolls back.
    owner_epoch   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, source)
) WITH (fillfactor = 50); -- one row is updated with every batch: room for HOT updates
COMMENT ON TABLE read.checkpoint IS 'Where each source of a projection stands. Moves in the transaction that writes the rows.';

CREATE TABLE read.parked_stream (
    projection     text NOT NULL REFERENCES read.projection ON DELETE CASCADE,
    tenant_id      uuid NOT NULL,
    category       text NOT NULL,
    stream_id      uuid NOT NULL,
    first_position bigint NOT NULL,
    first_version  bigint NOT NULL,
    events         bigint NOT NULL,
    reason         text NOT NULL,
    PRIMARY KEY (projection, tenant_id, category, stream_id)
);
COMMENT ON TABLE read.parked_stream IS
    'Streams a projection could not follow: from which event on, why, and how many of their events wait. '
    'History keeps the events; a rebuild by a program that can read them releases the stream.';

-- Directory -----------------------------------------------------------------------------------------------------------

-- How names are compared: lower case, no accents. Declared immutable, which `unaccent` with its dictionary named is as
-- long as nobody edits the dictionary, so that it can be indexed.
CREATE FUNCTION read.search_form(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, name));

CREATE TABLE read.directory_member (
    tenant_id         uuid NOT NULL,
    member_id         uuid NOT NULL,
    kind              text NOT NULL,
    member_number     text,
    display_name      text,
    first_name        text,
    last_name         text,
    -- What the directory is sorted by: the family name first, where it is known apart.
    sort_name         text NOT NULL,
    email             text,
    phone             text,
    city              text,
    region            text,
    country           text,
    job_title         text,
    biography         text,
    picture_url       text,
    social_links      text[] NOT NULL,
    credentials       text[] NOT NULL,
    organizations     uuid[] NOT NULL,
    show_email        boolean NOT NULL,
    show_phone        boolean NOT NULL,
    show_in_directory boolean NOT NULL,
    allow_messages    boolean NOT NULL,
    public_profile    boolean NOT NULL,
    completeness      smallint NOT NULL,
    deceased          boolean NOT NULL,
    forgotten         boolean NOT NULL,
    PRIMARY KEY (tenant_id, member_id)
);
-- Pages are read in name order from a keyset; the index gives the next page without sorting.
CREATE INDEX directory_member_by_name ON read.directory_member
    (tenant_id, read.search_form(sort_name) COLLATE "C", member_id) WHERE display_name IS NOT NULL;
-- Name search by prefix of any word and by similarity; the tenant first, so that other associations cost nothing.
CREATE INDEX directory_member_search ON read.directory_member USING gin
    (tenant_id, read.search_form(display_name) public.gin_trgm_ops) WHERE display_name IS NOT NULL;
-- Filter by credential and by organization, each a short list in the row.
CREATE INDEX directory_member_credentials ON read.directory_member USING gin (tenant_id, credentials);
CREATE INDEX directory_member_organizations ON read.directory_member USING gin (tenant_id, organizations);
-- Filter by city, as people write it.
CREATE INDEX directory_member_by_city ON read.directory_member (tenant_id, read.search_form(city)) WHERE city IS NOT NULL;

-- Membership standing -------------------------------------------------------------------------------------------------
--
-- The directory filters by it and the reports count it, each from tables of its own: a projection never waits for
-- another one. Both have the same columns, so one piece of code fills both.

CREATE TYPE read.plan AS (tenant_id uuid, plan_id uuid, code text, name text, retired boolean);
CREATE TYPE read.status_rules AS (tenant_id uuid, rules jsonb);
CREATE TYPE read.death AS (tenant_id uuid, member_id uuid, died_on date);
CREATE TYPE read.membership AS (
    tenant_id     uuid,
    membership_id uuid,
    member_id     uuid,
    plan_id       uuid,
    joined_on     date,
    active        boolean,
    starts_on     date,
    ends_on       date,
    facts         jsonb -- what its status on any date follows from
);
CREATE TYPE read.status_span AS (
    tenant_id     uuid,
    membership_id uuid,
    from_on       date,
    to_on         date, -- NULL where it has no end
    member_id     uuid,
    plan_id       uuid,
    status        text
);

CREATE TABLE read.directory_plan OF read.plan (PRIMARY KEY (tenant_id, plan_id));
CREATE TABLE read.directory_rules OF read.status_rules (PRIMARY KEY (tenant_id));
CREATE TABLE read.directory_death OF read.death (PRIMARY KEY (tenant_id, member_id));
CREATE TABLE read.directory_membership OF read.membership (PRIMARY KEY (tenant_id, membership_id));
-- A death changes the memberships of one member.
CREATE INDEX directory_membership_by_member ON read.directory_membership (tenant_id, member_id);
CREATE TABLE read.directory_status_span OF read.status_span (PRIMARY KEY (tenant_id, membership_id, from_on));
-- The standing of the members on a page, and the filters by plan and status, look from the member.
CREATE INDEX directory_status_span_by_member ON read.directory_status_span (tenant_id, member_id, from_on);

CREATE TABLE read.reporting_plan OF read.plan (PRIMARY KEY (tenant_id, plan_id));
CREATE TABLE read.reporting_rules OF read.status_rules (PRIMARY KEY (tenant_id));
CREATE TABLE read.reporting_death OF read.death (PRIMARY KEY (tenant_id, member_id));
CREATE TABLE read.reporting_membership OF read.membership (PRIMARY KEY (tenant_id, membership_id));
-- A death changes the memberships of one member.
CREATE INDEX reporting_membership_by_member ON read.reporting_membership (tenant_id, member_id);
CREATE TABLE read.reporting_status_span OF read.status_span (PRIMARY KEY (tenant_id, membership_id, from_on));
-- "As of a date" counts the spans of one association that hold on it.
CREATE INDEX reporting_status_span_by_day ON read.reporting_status_span (tenant_id, from_on, to_on);

-- Reporting -----------------------------------------------------------------------------------------------------------

CREATE TABLE read.reporting_renewal (
    tenant_id     uuid NOT NULL,
    membership_id uuid NOT NULL,
    term_number   bigint NOT NULL,
    renewed_on    date NOT NULL,
    starts_on     date NOT NULL,
    ends_on       date,
    PRIMARY KEY (tenant_id, membership_id, term_number)
);

CREATE TABLE read.reporting_event (
    tenant_id    uuid NOT NULL,
    event_id     uuid NOT NULL,
    title        text NOT NULL,
    venue        text,
    starts_local timestamp NOT NULL,
    ends_local   timestamp NOT NULL,
    time_zone    text NOT NULL,
    cancelled    boolean NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE TABLE read.reporting_roster (
    tenant_id    uuid NOT NULL,
    event_id     uuid NOT NULL,
    pools        text[] NOT NULL,
    -- One size for each pool; NULL where there is no limit.
    sizes        bigint[] NOT NULL,
    open         boolean NOT NULL,
    ticket_types jsonb NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE TABLE read.reporting_registration (
    tenant_id       uuid NOT NULL,
    event_id        uuid NOT NULL,
    registration_id uuid NOT NULL,
    ticket_type     text NOT NULL,
    places          bigint NOT NULL,
    standing        text NOT NULL,
    member_id       uuid,
    fee_minor       bigint NOT NULL,
    currency        text NOT NULL,
    over_capacity   boolean NOT NULL,
    checked_in_at   timestamptz,
    PRIMARY KEY (tenant_id, event_id, registration_id)
);

CREATE TABLE read.reporting_invoice (
    tenant_id      uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    bill_to        uuid NOT NULL,
    purpose        text NOT NULL,
    series         text,
    number         bigint,
    dated          date NOT NULL,
    due_on         date NOT NULL,
    currency       text NOT NULL,
    total_minor    bigint NOT NULL,
    tax_minor      bigint NOT NULL,
    credited_minor bigint NOT NULL,
    lines          jsonb NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id)
);
-- The invoices of one person.
CREATE INDEX reporting_invoice_by_payer ON read.reporting_invoice (tenant_id, bill_to);

CREATE TABLE read.reporting_invoice_movement (
    tenant_id    uuid NOT NULL,
    invoice_id   uuid NOT NULL,
    version      bigint NOT NULL,
    happened_on  date NOT NULL,
    kind         text NOT NULL,
    -- What it adds to what is open; negative for what is taken off.
    amount_minor bigint NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id, version)
);

CREATE TABLE read.reporting_revenue (
    tenant_id    uuid NOT NULL,
    record_id    uuid NOT NULL,
    kind         text NOT NULL,
    currency     text NOT NULL,
    earned_on    date NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (tenant_id, record_id, kind)
);
-- Sums over the months of one association.
CREATE INDEX reporting_revenue_by_day ON read.reporting_revenue (tenant_id, earned_on);

CREATE TABLE read.reporting_contribution (
    tenant_id    uuid NOT NULL,
    payment_id   uuid NOT NULL,
    kind         text NOT NULL,
    standing     text NOT NULL,
    currency     text NOT NULL,
    amount_minor bigint NOT NULL,
    happened_on  date NOT NULL,
    PRIMARY KEY (tenant_id, payment_id)
);

-- ERP journal ---------------------------------------------------------------------------------------------------------

CREATE TABLE read.erp_journal_invoice (
    tenant_id      uuid NOT NULL,
    invoice_id     uuid NOT NULL,
    series         text,
    number         bigint,
    dated          date NOT NULL,
    currency       text NOT NULL,
    total_minor    bigint NOT NULL,
    credited_minor bigint NOT NULL,
    lines          jsonb NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id)
);

CREATE TABLE read.erp_journal_payment (
    tenant_id         uuid NOT NULL,
    payment_id        uuid NOT NULL,
    unallocated_minor bigint NOT NULL,
    PRIMARY KEY (tenant_id, payment_id)
);

CREATE TABLE read.erp_journal_entry (
    tenant_id    uuid NOT NULL,
    -- What the ERP knows the entry by: UUIDv5 of association, source record, part and version of the posting rules.
    entry_id     uuid NOT NULL,
    dated        date NOT NULL,
    kind         text NOT NULL,
    description  text NOT NULL,
    currency     text NOT NULL,
    -- The stored event the entry follows from, and its stream.
    record_id    uuid NOT NULL,
    stream       text NOT NULL,
    rule_version bigint NOT NULL,
    PRIMARY KEY (tenant_id, entry_id)
);
-- Exports and reconciliation read one association by date, in keyset pages.
CREATE INDEX erp_journal_entry_by_day ON read.erp_journal_entry (tenant_id, dated, entry_id);

CREATE TABLE read.erp_journal_line (
    tenant_id    uuid NOT NULL,
    entry_id     uuid NOT NULL,
    line         bigint NOT NULL,
    -- What the account is for; which account that is says `settings.account_mapping`.
    role         text NOT NULL,
    debit_minor  bigint NOT NULL CHECK (debit_minor >= 0),
    credit_minor bigint NOT NULL CHECK (credit_minor >= 0),
    PRIMARY KEY (tenant_id, entry_id, line),
    CHECK ((debit_minor = 0) <> (credit_minor = 0))
);

-- The last guard of the books: whoever writes lines, an entry that does not balance is refused. An entry has one
-- currency, so the sums are per currency.
CREATE FUNCTION read.refuse_unbalanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced uuid;
BEGIN
    SELECT l.entry_id INTO unbalanced
      FROM read.erp_journal_line l
     WHERE (l.tenant_id, l.entry_id) IN (SELECT w.tenant_id, w.entry_id FROM written w)
     GROUP BY l.tenant_id, l.entry_id
    HAVING sum(l.debit_minor) <> sum(l.credit_minor)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % does not balance', unbalanced USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_unbalanced_entry AFTER INSERT ON read.erp_journal_line
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION read.refuse_unbalanced_entry();

-- Settings: configured by people ----------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS settings.account_mapping (
    -- The nil UUID holds the defaults, which apply where an association has no row of its own.
    tenant_id    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    role         text NOT NULL,
    valid_from   date NOT NULL,
    account_code text NOT NULL CHECK (account_code ~ '^[0-9A-Z]+$'),
    account_name text NOT NULL CHECK (account_name ~ '^[A-Za-z0-9 -]+$'),
    account_type text NOT NULL CHECK (account_type IN ('asset', 'liability', 'equity', 'income', 'expense')),
    PRIMARY KEY (tenant_id, role, valid_from)
);
COMMENT ON TABLE settings.account_mapping IS
    'Which account plays which role in the journal. The row of the association with the latest valid_from on or before '
    'the entry''s date applies; else the default. Rows are added with a later date, never changed.';

INSERT INTO settings.account_mapping (role, valid_from, account_code, account_name, account_type) VALUES
    ('cash',               '0001-01-01', '1000', 'Cash',                     'asset'),
    ('receivable',         '0001-01-01', '1200', 'Accounts Receivable',      'asset'),
    ('unapplied_payments', '0001-01-01', '2100', 'Unapplied Payments',       'liability'),
    ('tax_payable',        '0001-01-01', '2200', 'Tax Payable',              'liability'),
    ('deferred_dues',      '0001-01-01', '2400', 'Deferred Membership Dues', 'liability'),
    ('deferred_event_fee', '0001-01-01', '2410', 'Deferred Event Fees',      'liability'),
    ('revenue_dues',       '0001-01-01', '4000', 'Membership Dues',          'income'),
    ('revenue_event_fee',  '0001-01-01', '4100', 'Event Fees',               'income'),
    ('revenue_donation',   '0001-01-01', '4200', 'Donations',                'income'),
    ('revenue_other',      '0001-01-01', '4900', 'Other Income',             'income'),
    ('bad_debt',           '0001-01-01', '6800', 'Bad Debt',                 'expense')
ON CONFLICT (tenant_id, role, valid_from) DO NOTHING;

CREATE TABLE IF NOT EXISTS settings.analyst (
    login     name PRIMARY KEY,
    tenant_id uuid NOT NULL
);
COMMENT ON TABLE settings.analyst IS 'Which association a login of an analyst belongs to. Written by `guildhall analyst`.';
