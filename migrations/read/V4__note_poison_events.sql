-- Events that a projection could not fold, each once, whatever became of its stream afterwards.
--
-- One that parked its stream is retried from `parked_stream`; one that was left out is not, until a rebuild. What is not
-- sent yet goes to the topic of dead letters, where there is one.
CREATE TABLE read.poison_event (
    projection text    NOT NULL REFERENCES read.projection ON DELETE CASCADE,
    position   bigint  NOT NULL,
    tenant_id  uuid    NOT NULL,
    category   text    NOT NULL,
    stream_id  uuid    NOT NULL,
    version    bigint  NOT NULL,
    -- What is wrong with it, as it was said last, without personal data.
    reason     text    NOT NULL,
    left_out   boolean NOT NULL DEFAULT false,
    sent       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (projection, position)
);
COMMENT ON TABLE read.poison_event IS
    'Events a projection could not fold: why, whether an operator left them out for good, and whether external consumers were told.';
-- Reads ask which streams of an association lack something, nearly always in vain.
CREATE INDEX poison_event_left_out ON read.poison_event (projection, tenant_id) WHERE left_out;
CREATE INDEX poison_event_unsent ON read.poison_event (projection, position) WHERE NOT sent;

-- The wall that every table with a tenant has.
ALTER TABLE read.poison_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_association ON read.poison_event FOR SELECT TO guildhall_analyst
    USING (tenant_id = (SELECT reporting.own_association()));

-- Streams that were parked before: their first event is the one that could not be folded.
INSERT INTO read.poison_event (projection, position, tenant_id, category, stream_id, version, reason)
SELECT projection, first_position, tenant_id, category, stream_id, first_version, reason FROM read.parked_stream;
