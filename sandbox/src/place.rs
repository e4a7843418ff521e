//! The directory that one server lives in, and that one launcher at a time owns.

use std::fs::{self, File, Permissions, TryLockError};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::account::Account;

/// Where data goes that the chosen directory cannot hold, because the server's account may not go in there.
const ELSEWHERE: &str = "/var/lib/guildhall";

/// The file whose lock is the claim; its text is the holder's process id.
const LOCK: &str = "launcher.lock";

/// A claimed directory. The claim is a file lock, so it ends with its process however that ends, and whoever holds it
/// knows: a server that still runs in here has lost its launcher.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// What a person should know about where the data is.
    pub(crate) notice: Option<String>,
    _lock: File,
}

impl Place {
    /// Makes and claims a directory, private to `account` when one is given. When the account cannot reach it (a
    /// checkout under `/root`, say), the data goes under `/var/lib/guildhall` and a link in the wanted place leads
    /// there.
    pub(crate) fn claim(wanted: &Path, account: Option<&Account>) -> Result<Self> {
        fs::create_dir_all(wanted).with_context(|| format!("making the directory {}", wanted.display()))?;
        let mut path = wanted.canonicalize().with_context(|| format!("finding {}", wanted.display()))?;
        refuse_foreign(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))
            .with_context(|| format!("making {} private: does it belong to another user?", path.display()))?;
        let mut notice = None;
        if let Some(account) = account {
            give(&path, account)?;
            if !account.can_enter(&path)? {
                let reachable = move_elsewhere(&path, account)?;
                notice = Some(format!(
                    "the data is in {}, because the user {} cannot enter {}",
                    reachable.display(),
                    account.name,
                    path.display()
                ));
                path = reachable;
            }
        }
        let lock = lock(&path)?;
        Ok(Self { path, notice, _lock: lock })
    }
}

/// Hands a directory over to an account.
pub(crate) fn give(directory: &Path, account: &Account) -> Result<()> {
    chown(directory, Some(account.uid), Some(account.gid))
        .with_context(|| format!("giving {} to the user {}", directory.display(), account.name))
}

/// A slip in a path must not hand somebody's home to a server: we take an empty directory or one we had before.
fn refuse_foreign(directory: &Path) -> Result<()> {
    let mut entries = fs::read_dir(directory)
        .with_context(|| format!("reading {}: does it belong to another user?", directory.display()))?;
    if entries.next().is_some() && !directory.join(LOCK).exists() {
        bail!("{} holds files that are not ours: choose an empty directory or a new one", directory.display());
    }
    Ok(())
}

fn move_elsewhere(unreachable: &Path, account: &Account) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    unreachable.hash(&mut hasher);
    let reachable = Path::new(ELSEWHERE).join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&reachable)
        .and_then(|()| fs::set_permissions(ELSEWHERE, Permissions::from_mode(0o755)))
        .and_then(|()| fs::set_permissions(&reachable, Permissions::from_mode(0o700)))
        .with_context(|| format!("making the directory {}", reachable.display()))?;
    give(&reachable, account)?;
    if !account.can_enter(&reachable)? {
        bail!("the user {} can enter neither {} nor {ELSEWHERE}", account.name, unreachable.display());
    }
    fs::remove_dir(unreachable)
        .and_then(|()| symlink(&reachable, unreachable))
        .with_context(|| format!("putting a link to {} at {}", reachable.display(), unreachable.display()))?;
    Ok(reachable)
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {}: does it belong to another user?", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).context("reading the lock's holder")?;
            bail!(
                "{} is in use by process {}: stop that one, or choose another directory",
                directory.display(),
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {}", path.display())),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()))?;
    Ok(file)
}
