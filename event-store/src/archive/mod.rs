//! Partitions taken out of the database into files, and back.
//!
//! An archive is a folder of files that Postgres' `COPY` wrote, and a manifest with their checksums. Before anything is
//! dropped, the files are read back from the disk into a table and every event there is checked against its leaf hash:
//! an archive nobody has restored is none. The way back is the same.
//!
//! What stays is the last event of each stream, in a partition of the old name, and a row in `es.archived`. So a version
//! check finds the version it looks for; a read in order meets a gap and says what was archived; and no stream looks
//! empty. Out and in are one transaction each, so nobody ever sees a state between. That is why `DETACH … CONCURRENTLY` is
//! not used: between its two transactions an append would find a stream without its last version.

mod files;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::fs;
use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::{
    StoreError,
    partitions::{self, Partition, PartitionState},
    read::{natural, recorded, signed},
};
pub use files::{ArchiveFile, Manifest};
use files::{COLUMNS, FORMAT, at, check, hex, load, sync_folder, write};

/// Positions of one file.
const FILE_POSITIONS: u64 = 100_000;
/// Events that are checked at once.
const PAGE: u64 = 2_000;
/// One archive or attachment at a time; the lock is the session's.
const LOCK: &str = "SELECT pg_try_advisory_lock(x'475548414c4c'::bigint + 7)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(x'475548414c4c'::bigint + 7)";
/// How long everybody waits behind an exchange of partitions that itself waits for somebody. Then it lets them pass and
/// tries again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
const ATTEMPTS: usize = 30;

/// Why a partition was not archived or attached. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written or read.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// There is no manifest of ours in the folder.
    #[error("{} is no manifest of an archive: {reason}", path.display())]
    NotAnArchive {
        /// Which file was taken for one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The partition is not in a state for this.
    #[error("{0}")]
    NotNow(String),
    /// What was read back is not what history says.
    #[error("{0}; nothing was changed in the database")]
    Damaged(String),
}

impl From<tokio_postgres::Error> for ArchiveError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return Self::NotNow(
                "this needs the login that owns history, the one that ran `guildhall migrate`".to_owned(),
            );
        }
        Self::Store(error.into())
    }
}

/// Moves a sealed partition into a new folder of its own name in `folder`, and returns the folder's path and what it
/// holds. `progress` is told how many of how many events are done.
///
/// # Errors
/// See [`ArchiveError`]. What was written so far may be left in the folder.
pub async fn archive(
    client: &mut Client,
    name: &str,
    folder: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(PathBuf, Manifest), ArchiveError> {
    locked(client).await?;
    let done = archive_locked(client, name, folder, &mut progress).await;
    client.execute(UNLOCK, &[]).await?;
    done
}

/// Brings an archived partition back from its folder, and returns what it held.
///
/// # Errors
/// See [`ArchiveError`].
pub async fn attach(
    client: &mut Client,
    folder: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Manifest, ArchiveError> {
    locked(client).await?;
    let done = attach_locked(client, folder, &mut progress).await;
    client.execute(UNLOCK, &[]).await?;
    done
}

async fn locked(client: &Client) -> Result<(), ArchiveError> {
    let free: bool = client.query_one(LOCK, &[]).await?.try_get(0)?;
    if free {
        Ok(())
    } else {
        Err(ArchiveError::NotNow("somebody else is archiving or attaching; try again later".into()))
    }
}

async fn archive_locked(
    client: &mut Client,
    name: &str,
    folder: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(PathBuf, Manifest), ArchiveError> {
    let partition = find(client, name).await?;
    if partition.state != PartitionState::Sealed {
        let state = format!("{name} is {:?}, not sealed; only a full partition can be archived", partition.state);
        return Err(ArchiveError::NotNow(state.to_lowercase()));
    }
    // Where history is put under checkpoints, all of it is: the sealer cannot go back for what has left.
    let sealed = client.query_opt("SELECT position FROM es.sealed", &[]).await?;
    if sealed.map(|row| natural(&row, 0)).transpose()?.is_some_and(|sealed| sealed < partition.last_position) {
        let text =
            format!("not all of {name} is under a signed checkpoint yet; run `guildhall audit checkpoint` first");
        return Err(ArchiveError::NotNow(text));
    }
    let target = folder.join(name);
    if fs::try_exists(&target).await.map_err(at(&target))? {
        let text = format!("{} exists already; remove it or name another folder", target.display());
        return Err(ArchiveError::NotNow(text));
    }
    let unfinished = folder.join(format!("{name}.unfinished"));
    if fs::try_exists(&unfinished).await.map_err(at(&unfinished))? {
        fs::remove_dir_all(&unfinished).await.map_err(at(&unfinished))?;
    }
    fs::create_dir_all(&unfinished).await.map_err(at(&unfinished))?;

    let mut manifest = write_all(client, &partition, &unfinished).await?;
    let rehearsal = format!("{name}_rehearsal");
    manifest.leaves_sha256 = stage(client, &manifest, &unfinished, &rehearsal, "UNLOGGED", progress).await?;
    client.batch_execute(&format!("DROP TABLE es.\"{rehearsal}\"")).await?;

    let kept = format!("{name}_kept");
    make_table(client, &kept, "").await?;
    // One row of each stream, so that its version is found. The event after it, if there is one, stands behind it.
    let tips = format!(
        "INSERT INTO es.\"{kept}\" ({COLUMNS}) SELECT {COLUMNS} FROM es.\"{name}\" e WHERE NOT EXISTS (
             SELECT FROM es.event n WHERE n.stream_key = e.stream_key AND n.version = e.version + 1
                                      AND n.position > e.position)"
    );
    manifest.kept = client.execute(&tips, &[]).await?;
    finish_table(client, &kept, &partition).await?;
    manifest.write(&unfinished).await?;
    fs::rename(&unfinished, &target).await.map_err(at(&target))?;
    sync_folder(folder).await?;
    let noted = serde_json::to_value(&manifest).expect("names and numbers are JSON");
    exchange(client, &partition, &kept, Some(&noted)).await?;
    Ok((target, manifest))
}

async fn attach_locked(
    client: &mut Client,
    folder: &Path,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Manifest, ArchiveError> {
    let manifest = Manifest::read(folder).await?;
    let name = &manifest.partition;
    let noted = client.query_opt("SELECT manifest FROM es.archived WHERE partition_name = $1", &[name]).await?;
    let noted: serde_json::Value = match noted {
        Some(row) => row.try_get(0)?,
        None => {
            return Err(ArchiveError::NotNow(format!("{name} is not archived here; there is nothing to bring back")));
        }
    };
    if serde_json::from_value(noted).ok().as_ref() != Some(&manifest) {
        let text = format!("{} is not the archive that was made of {name} here", folder.display());
        return Err(ArchiveError::Damaged(text));
    }
    let partition = find(client, name).await?;
    let table = format!("{name}_attached");
    let leaves = stage(client, &manifest, folder, &table, "", progress).await?;
    if leaves != manifest.leaves_sha256 {
        return Err(ArchiveError::Damaged(format!("the events in {} are not those of {name}", folder.display())));
    }
    finish_table(client, &table, &partition).await?;
    exchange(client, &partition, &table, None).await?;
    Ok(manifest)
}

async fn find(client: &Client, name: &str) -> Result<Partition, ArchiveError> {
    let mut partitions = partitions::list(client).await?;
    if let Some(at) = partitions.iter().position(|partition| partition.name == name) {
        return Ok(partitions.swap_remove(at));
    }
    let names: Vec<_> = partitions.into_iter().map(|partition| partition.name).collect();
    Err(ArchiveError::NotNow(format!("there is no partition {name}; there are {}", names.join(", "))))
}

/// Writes the events, some for each file, and the names of their streams.
async fn write_all(client: &Client, partition: &Partition, folder: &Path) -> Result<Manifest, ArchiveError> {
    let Partition { name, first_position, last_position, .. } = partition;
    let mut events = Vec::new();
    let mut from = *first_position;
    while from <= *last_position {
        let to = (*last_position).min(from + FILE_POSITIONS - 1);
        let query =
            format!("SELECT {COLUMNS} FROM es.\"{name}\" WHERE position BETWEEN {from} AND {to} ORDER BY position");
        events.push(write(client, &query, folder, &format!("events-{from:012}.pgcopy")).await?);
        from = to + 1;
    }
    let query = format!(
        "SELECT stream_key, tenant_id, category, id, first_position FROM es.stream s
         WHERE EXISTS (SELECT FROM es.\"{name}\" e WHERE e.stream_key = s.stream_key) ORDER BY stream_key"
    );
    Ok(Manifest {
        format: FORMAT.to_owned(),
        partition: name.clone(),
        first_position: *first_position,
        last_position: *last_position,
        kept: 0,
        leaves_sha256: String::new(),
        columns: COLUMNS.to_owned(),
        events,
        streams: write(client, &query, folder, "streams.pgcopy").await?,
    })
}

/// Loads an archive into a table of its own and checks every event in it; gives the digest over their leaf hashes.
async fn stage(
    client: &Client,
    manifest: &Manifest,
    folder: &Path,
    table: &str,
    unlogged: &str,
    progress: &mut impl FnMut(u64, u64),
) -> Result<String, ArchiveError> {
    for file in manifest.events.iter().chain([&manifest.streams]) {
        check(folder, file).await?;
    }
    make_table(client, table, unlogged).await?;
    for file in &manifest.events {
        load(client, folder, file, table).await?;
    }
    client.batch_execute(&format!("ANALYZE es.\"{table}\"")).await?;
    let query = format!(
        "SELECT e.position, e.tenant_id, s.category, s.id, e.version, e.event_id, e.type, e.schema_version,
                e.payload, e.metadata, e.command_id, e.leaf_hash, e.recorded_at
         FROM (SELECT * FROM es.\"{table}\" WHERE position > $1 ORDER BY position LIMIT $2) e
         JOIN es.stream s ON s.stream_key = e.stream_key AND s.tenant_id = e.tenant_id
         ORDER BY e.position"
    );
    let mut leaves = Context::new(&SHA256);
    let (before, last) = (manifest.first_position - 1, manifest.last_position);
    let mut position = before;
    while position < last {
        let rows = client.query_typed(&query, &[(&signed(position), Type::INT8), (&signed(PAGE), Type::INT8)]).await?;
        for event in recorded(&rows)? {
            position += 1;
            if event.position != position || event.computed_leaf_hash() != event.leaf_hash {
                let text =
                    format!("position {position} is missing or is not what was recorded; run `guildhall audit verify`");
                return Err(ArchiveError::Damaged(text));
            }
            leaves.update(&event.leaf_hash);
        }
        if rows.is_empty() {
            return Err(ArchiveError::Damaged(format!("the events end at position {position}, not at {last}")));
        }
        progress(position - before, last - before);
    }
    Ok(hex(leaves))
}

/// Makes a table like those of history, in place of one that an interrupted attempt has left.
async fn make_table(client: &Client, table: &str, unlogged: &str) -> Result<(), ArchiveError> {
    let statements = format!(
        "DROP TABLE IF EXISTS es.\"{table}\";
         CREATE {unlogged} TABLE es.\"{table}\" (LIKE es.event INCLUDING STORAGE INCLUDING CONSTRAINTS INCLUDING INDEXES)"
    );
    Ok(client.batch_execute(&statements).await?)
}

/// Makes a table ready to be a partition: with what is there attached, nothing has to be looked at under the lock.
async fn finish_table(client: &Client, table: &str, partition: &Partition) -> Result<(), ArchiveError> {
    let (from, to) = (partition.first_position, partition.last_position + 1);
    client
        .batch_execute(&format!(
            "ALTER TABLE es.\"{table}\" ADD UNIQUE (stream_key, version),
                 ADD CONSTRAINT in_range CHECK (position >= {from} AND position < {to});
             CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.\"{table}\"
                 FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()"
        ))
        .await?;
    Ok(client.batch_execute(&format!("VACUUM (FREEZE, ANALYZE) es.\"{table}\"")).await?)
}

/// Puts a table in the place of a partition, and notes what was archived or that it is back, all at once.
async fn exchange(
    client: &mut Client,
    partition: &Partition,
    table: &str,
    archived: Option<&serde_json::Value>,
) -> Result<(), ArchiveError> {
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(ATTEMPTS)
        .with_jitter()
        .build();
    while let Err(error) = try_exchange(client, partition, table, archived).await {
        let busy = [Some(&SqlState::LOCK_NOT_AVAILABLE), Some(&SqlState::T_R_DEADLOCK_DETECTED)];
        if !busy.contains(&error.code()) {
            return Err(error.into());
        }
        let Some(pause) = pauses.next() else {
            let text = "somebody reads history without pause, see pg_stat_activity; try again when they have finished";
            return Err(ArchiveError::NotNow(text.to_owned()));
        };
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

async fn try_exchange(
    client: &mut Client,
    partition: &Partition,
    table: &str,
    archived: Option<&serde_json::Value>,
) -> Result<(), tokio_postgres::Error> {
    let Partition { name, first_position, last_position, .. } = partition;
    let (first, last) = (signed(*first_position), signed(*last_position));
    let exchange = client.transaction().await?;
    exchange
        .batch_execute(&format!(
            "{LOCK_TIMEOUT};
             ALTER TABLE es.event DETACH PARTITION es.\"{name}\";
             DROP TABLE es.\"{name}\";
             ALTER TABLE es.\"{table}\" RENAME TO \"{name}\";
             ALTER TABLE es.event ATTACH PARTITION es.\"{name}\" FOR VALUES FROM ({first}) TO ({});
             ALTER TABLE es.\"{name}\" DROP CONSTRAINT in_range",
            last + 1
        ))
        .await?;
    match archived {
        Some(manifest) => {
            let note = "INSERT INTO es.archived (partition_name, first_position, last_position, manifest)
                        VALUES ($1, $2, $3, $4)";
            exchange.execute(note, &[name, &first, &last, manifest]).await?
        }
        None => exchange.execute("DELETE FROM es.archived WHERE partition_name = $1", &[name]).await?,
    };
    exchange.commit().await
}
