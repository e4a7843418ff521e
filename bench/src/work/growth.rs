//! Whether what was stored before makes appending slower.
//!
//! The events are made once, by SQL, and kept as a database on a Postgres of their own; each measurement copies it.

use std::time::Instant;

use guildhall_aggregates::tenant_of_slug;
use guildhall_sandbox::testing::TestDatabase;

use super::{Bench, Ours};
use crate::{
    machine::{Machine, connect, name_of},
    node::ASSOCIATION,
    report::Run,
};

/// Connections at full load.
const CONNECTIONS: u32 = 64;
/// Events in each stream that is made, by their versions interleaved with those of the others.
const EVENTS_PER_STREAM: i64 = 10;
/// Rows one statement makes.
const STEP: i64 = 250_000;

/// As many streams as it takes, each new to the association and under a random id.
const STREAMS: &str = "
    INSERT INTO es.stream (first_position, tenant_id, id, category)
    SELECT position, $1::uuid, gen_random_uuid(), 'member' FROM generate_series(1, $2::bigint) position";

/// Notes as they are stored, without anything that could be read: nobody loads these streams.
const EVENTS: &str = r#"
    INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id, schema_version,
                          type, leaf_hash, metadata, payload)
    SELECT position, (position - 1) % $2::bigint + 1, (position - 1) / $2 + 1, now() - interval '1 day', $1::uuid,
           gen_random_uuid(), gen_random_uuid(), 1, 'NoteAdded', sha256(int8send(position)),
           convert_to('{"command":"AddNote","actor":{"kind":"caller","name":"bench"},"correlation_id":"'
                      || gen_random_uuid() || '"}', 'UTF8'),
           convert_to('{"type":"NoteAdded","text":{"subject":"' || gen_random_uuid() || '","sealed":"'
                      || encode(sha256(int8send(-position)), 'base64') || '"}}', 'UTF8')
    FROM generate_series($3::bigint, $4::bigint) position"#;

const COMMANDS: &str = "
    INSERT INTO es.command_log (tenant_id, command_id, stream_key, version, position, event_count, request_hash)
    SELECT tenant_id, command_id, stream_key, version, position, 1, leaf_hash FROM es.event
    WHERE position BETWEEN $1 AND $2";

/// Full load on a node with so many events stored before, beside one with none.
pub fn grown(bench: &Bench, events: i64) -> anyhow::Result<Vec<Run>> {
    std::fs::create_dir_all(&bench.data)?;
    let machine = Machine::kept(bench.data.join("postgres"))?;
    let runtime = &bench.runtime;
    let source = runtime.block_on(template(&machine, events))?;
    let full = runtime.block_on(machine.copy_of(&source))?;
    let full = Ours::start_on(bench, full, bench.size.members)?;
    let empty = runtime.block_on(TestDatabase::create_on(&machine.url()))?;
    let empty = Ours::start_on(bench, empty, bench.size.members)?;
    // A large index takes longer to get into memory and, after a checkpoint, into the log. Both belong to the start of a
    // server and not to its days: each side runs once before it counts, and no checkpoint comes between.
    full.send(bench, &machine, CONNECTIONS)?;
    empty.send(bench, &machine, CONNECTIONS)?;
    let runs = bench.in_turn(|| {
        let ours = full.send(bench, &machine, CONNECTIONS)?;
        let baseline = Some(empty.send(bench, &machine, CONNECTIONS)?);
        Ok(Run { ours, baseline })
    })?;
    full.node.stop()?;
    empty.node.stop()?;
    Ok(runs)
}

/// The name of the database that is copied. It is made where it is not there, or was made for another schema. What an
/// earlier run left behind goes.
async fn template(machine: &Machine, events: i64) -> anyhow::Result<String> {
    let prefix = format!("growth_{events}_");
    let name = format!("{prefix}{:016x}", guildhall_migrations::fingerprint());
    let admin = connect(&machine.url()).await?;
    let found =
        admin.query("SELECT datname FROM pg_database WHERE datname ^@ $1 OR datname ^@ 'test_'", &[&prefix]).await?;
    let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    for old in found.iter().filter(|found| **found != name) {
        admin.batch_execute(&format!("DROP DATABASE {old} WITH (FORCE)")).await?;
    }
    if !found.contains(&name) {
        let unfinished = TestDatabase::create_on(&machine.url()).await?;
        fill(unfinished.url(), events).await?;
        admin.batch_execute(&format!("ALTER DATABASE {} RENAME TO {name}", name_of(&unfinished)?)).await?;
    }
    Ok(name)
}

async fn fill(url: &str, events: i64) -> anyhow::Result<()> {
    let client = connect(url).await?;
    let tenant = tenant_of_slug(ASSOCIATION).uuid();
    let streams = events / EVENTS_PER_STREAM;
    let started = Instant::now();
    client.execute(STREAMS, &[&tenant, &streams]).await?;
    for from in (1..=events).step_by(usize::try_from(STEP)?) {
        let to = events.min(from + STEP - 1);
        client.execute(EVENTS, &[&tenant, &streams, &from, &to]).await?;
        client.execute(COMMANDS, &[&from, &to]).await?;
        println!("  made {to} of {events} events, {:.0} s", started.elapsed().as_secs_f64());
    }
    client.batch_execute("VACUUM ANALYZE").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}
