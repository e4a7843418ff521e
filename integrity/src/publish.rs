//! Carries checkpoints to places outside the database, where whoever changes history cannot change them too.
//!
//! What was carried is noted after it was, so that a crash in between repeats something and loses nothing.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use futures::future::BoxFuture;
use tokio_postgres::{Client, types::Type};

use crate::{
    Checkpoint, IntegrityError,
    log::{SELECT_CHECKPOINT, checkpoint, natural, signed},
};

/// Checkpoints of one page.
const PAGE: u64 = 100;

/// Where checkpoints are published.
pub trait Place: Send + Sync {
    /// Tells it from other places, for ever: how far it got is kept under this name.
    fn name(&self) -> String;

    /// Keeps a checkpoint there, durably once this is done. It may be asked to again.
    fn publish<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), IntegrityError>>;
}

/// Carries to a place, in order, what is not noted as being there. Returns how many checkpoints that were.
pub async fn carry(client: &Client, place: &dyn Place) -> Result<u64, IntegrityError> {
    let name = place.name();
    let row =
        client.query_typed_opt("SELECT number FROM es.publication WHERE place = $1", &[(&name, Type::TEXT)]).await?;
    let mut done = row.map(|row| natural(&row, 0)).transpose()?.unwrap_or(0);
    let mut carried = 0;
    loop {
        let rows = client
            .query_typed(
                &format!("{SELECT_CHECKPOINT} WHERE number > $1 ORDER BY number LIMIT $2"),
                &[(&signed(done), Type::INT8), (&signed(PAGE), Type::INT8)],
            )
            .await?;
        for row in &rows {
            let checkpoint = checkpoint(row)?;
            place.publish(&checkpoint).await?;
            done = checkpoint.statement.number;
            carried += 1;
        }
        if rows.is_empty() {
            return Ok(carried);
        }
        client
            .execute_typed(
                "INSERT INTO es.publication (place, number) VALUES ($1, $2)
                 ON CONFLICT (place) DO UPDATE SET number = greatest(es.publication.number, excluded.number)",
                &[(&name, Type::TEXT), (&signed(done), Type::INT8)],
            )
            .await?;
        metrics::counter!("checkpoints_published_total", "place" => name.clone()).increment(rows.len() as u64);
    }
}

/// A folder with a file for each checkpoint, `<association>/<number>.checkpoint`. No file is ever written twice: put it on a
/// disk that is append-only or belongs to somebody else, and nobody can unsay what stands there.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, IntegrityError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(failed(&path))?;
        Ok(Self { path })
    }

    fn keep(&self, checkpoint: &Checkpoint) -> Result<(), IntegrityError> {
        let folder = self.path.join(checkpoint.statement.tenant.uuid().to_string());
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = folder.join(format!("{:012}.checkpoint", checkpoint.statement.number));
        match fs::read(&path) {
            Ok(there) if there == checkpoint.note.as_bytes() => return Ok(()),
            Ok(_) => {
                let reason = "another checkpoint with this number was published; run `guildhall audit verify` with it";
                return Err(failed(&path)(io::Error::other(reason)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path)(error)),
        }
        // Written aside and then named: a file with this name is whole, also after a crash.
        let aside = folder.join(format!(".{:012}.partial", checkpoint.statement.number));
        let mut file = File::create(&aside).map_err(failed(&aside))?;
        file.write_all(checkpoint.note.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&aside))?;
        fs::rename(&aside, &path).map_err(failed(&path))?;
        [&folder, &self.path]
            .into_iter()
            .try_for_each(|folder| File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder)))
    }
}

impl Place for Folder {
    fn name(&self) -> String {
        format!("folder {}", self.path.display())
    }

    fn publish<'a>(&'a self, checkpoint: &'a Checkpoint) -> BoxFuture<'a, Result<(), IntegrityError>> {
        let (folder, checkpoint) = (self.clone(), checkpoint.clone());
        Box::pin(async move {
            let kept = tokio::task::spawn_blocking(move || folder.keep(&checkpoint)).await;
            kept.map_err(|error| IntegrityError::NotPublished(error.to_string()))?
        })
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> IntegrityError {
    let path = path.to_owned();
    move |source| IntegrityError::File { path: path.clone(), source }
}
