-- What processes remember: how far they have read, and what becomes due when.
-- Both can be lost without harm: reactions have command ids that follow from the event, so reading
-- history again repeats nothing.
CREATE SCHEMA IF NOT EXISTS process;

CREATE TABLE process.checkpoint (
    name text PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0)
);
COMMENT ON TABLE process.checkpoint IS 'The position up to which each process has reacted to history.';

CREATE TABLE process.deadline (
    due_at timestamptz NOT NULL,
    tenant_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    -- due_at first: the timer asks for what is due, in order.
    PRIMARY KEY (due_at, tenant_id, stream_id)
);
COMMENT ON TABLE process.deadline IS 'When a hold, an unpaid registration or an offer in a roster lapses.';
