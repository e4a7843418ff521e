//! The files of an archive: what is in them, written and read.

use std::{
    io,
    path::{Path, PathBuf},
    pin::pin,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures::{SinkExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter},
};
use tokio_postgres::Client;

use super::ArchiveError;

/// The format of archives this program writes and reads.
pub(super) const FORMAT: &str = "guildhall archive 1";
/// The columns of an event, in the order they are archived in.
pub(super) const COLUMNS: &str = "position, stream_key, version, recorded_at, tenant_id, event_id, command_id, \
                                  schema_version, type, leaf_hash, metadata, payload";
/// Beside the files it describes.
const MANIFEST: &str = "manifest.json";
/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 * 1024;

/// What an archive is: enough to know it again, and for somebody who has nothing else to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Names the format and its version.
    pub format: String,
    /// The partition it was.
    pub partition: String,
    /// The first position in it.
    pub first_position: u64,
    /// The last position in it.
    pub last_position: u64,
    /// How many of the events stayed in the database: the last one of each stream.
    pub kept: u64,
    /// SHA-256 over the leaf hashes of all events in order, in hexadecimal.
    pub leaves_sha256: String,
    /// The columns of the files of events, in order. The files are what `COPY … (FORMAT binary)` of Postgres writes.
    pub columns: String,
    /// The events.
    pub events: Vec<ArchiveFile>,
    /// The names of the streams: `stream_key`, `tenant_id`, `category`, `id`, `first_position`.
    pub streams: ArchiveFile,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFile {
    /// Its name in the folder.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of an archive.
    pub(super) async fn read(folder: &Path) -> Result<Self, ArchiveError> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).await.map_err(at(&path))?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| ArchiveError::NotAnArchive { path: path.clone(), reason: error.to_string() })?;
        if manifest.format != FORMAT || manifest.columns != COLUMNS {
            let reason = format!("it is `{}`, not `{FORMAT}`", manifest.format);
            return Err(ArchiveError::NotAnArchive { path, reason });
        }
        Ok(manifest)
    }

    /// Writes it, and sees that it and the names of all files are on the disk.
    pub(super) async fn write(&self, folder: &Path) -> Result<(), ArchiveError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(self).expect("names and numbers are JSON");
        let mut file = File::create(&path).await.map_err(at(&path))?;
        file.write_all(&text).await.map_err(at(&path))?;
        file.sync_all().await.map_err(at(&path))?;
        sync_folder(folder).await
    }
}

/// Sees that the names in a folder are on the disk.
pub(super) async fn sync_folder(folder: &Path) -> Result<(), ArchiveError> {
    let opened = File::open(folder).await.map_err(at(folder))?;
    opened.sync_all().await.map_err(at(folder))
}

/// Copies what a query gives into a new file, and sees that it is on the disk.
pub(super) async fn write(
    client: &Client,
    query: &str,
    folder: &Path,
    name: &str,
) -> Result<ArchiveFile, ArchiveError> {
    let path = folder.join(name);
    let mut file = BufWriter::new(File::create_new(&path).await.map_err(at(&path))?);
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0);
    let mut rows = pin!(client.copy_out(&format!("COPY ({query}) TO STDOUT (FORMAT binary)")).await?);
    while let Some(part) = rows.try_next().await? {
        hash.update(&part);
        bytes += part.len() as u64;
        file.write_all(&part).await.map_err(at(&path))?;
    }
    file.flush().await.map_err(at(&path))?;
    file.into_inner().sync_all().await.map_err(at(&path))?;
    Ok(ArchiveFile { name: name.to_owned(), bytes, sha256: hex(hash) })
}

/// Copies a file into a table.
pub(super) async fn load(client: &Client, folder: &Path, file: &ArchiveFile, table: &str) -> Result<(), ArchiveError> {
    let copy = format!("COPY es.\"{table}\" ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut sink = pin!(client.copy_in::<_, Bytes>(&copy).await?);
    let mut parts = Parts::of(folder, file).await?;
    while let Some(part) = parts.next().await? {
        sink.send(part).await?;
    }
    sink.finish().await?;
    Ok(())
}

/// Sees that a file is what the manifest says.
pub(super) async fn check(folder: &Path, file: &ArchiveFile) -> Result<(), ArchiveError> {
    let mut hash = Context::new(&SHA256);
    let mut parts = Parts::of(folder, file).await?;
    while let Some(part) = parts.next().await? {
        hash.update(&part);
    }
    if hex(hash) == file.sha256 {
        return Ok(());
    }
    Err(ArchiveError::Damaged(format!("{} is not the file that was archived", parts.path.display())))
}

/// A file, part by part.
struct Parts {
    path: PathBuf,
    file: File,
}

impl Parts {
    async fn of(folder: &Path, file: &ArchiveFile) -> Result<Self, ArchiveError> {
        let path = folder.join(&file.name);
        let file = File::open(&path).await.map_err(at(&path))?;
        Ok(Self { path, file })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        let mut part = vec![0; READ_BYTES];
        let read = self.file.read(&mut part).await.map_err(at(&self.path))?;
        part.truncate(read);
        Ok((read > 0).then(|| part.into()))
    }
}

/// A digest as `sha256sum` prints it.
pub(super) fn hex(hash: Context) -> String {
    let bytes: Vec<_> = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

/// Names the file in what went wrong with it.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    move |reason| ArchiveError::File { path: path.to_owned(), reason }
}
