//! Where Postgres' programs are on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The oldest major version that has everything the SQL of this project uses.
const OLDEST: u32 = 15;

/// Folders that hold one folder with a `bin` per major version: Debian, Red Hat, Homebrew.
const VERSION_FOLDERS: [&str; 4] = ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt"];

/// The programs of one installed Postgres.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) postgres: PathBuf,
    pub(super) initdb: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest installed Postgres, or the one of the major version that wrote the data there already is.
    pub(super) fn find(wanted: Option<u32>) -> Result<Self> {
        let mut found: Vec<Self> = folders().iter().filter_map(|folder| Self::in_folder(folder)).collect();
        found.sort_by_key(|binaries| binaries.major);
        if let Some(wanted) = wanted {
            return found.into_iter().find(|binaries| binaries.major == wanted).with_context(|| {
                format!(
                    "the data was written by PostgreSQL {wanted}, which is not installed here: \
                     install postgresql-{wanted}, or begin anew with `make clean-data`"
                )
            });
        }
        match found.pop() {
            Some(newest) if newest.major >= OLDEST => Ok(newest),
            Some(old) => bail!("PostgreSQL {OLDEST} or newer is needed, and only {} is installed", old.major),
            None => bail!("no PostgreSQL server found: install it, on Debian with `apt-get install postgresql`"),
        }
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let (postgres, initdb) = (folder.join("postgres"), folder.join("initdb"));
        if !initdb.is_file() {
            return None;
        }
        let answer = Command::new(&postgres).arg("--version").output().ok()?;
        let major = major_of(str::from_utf8(&answer.stdout).ok()?)?;
        Some(Self { postgres, initdb, major })
    }
}

/// Every folder that may hold the programs: those of `PATH` and the usual ones that are not on it.
fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    for parent in VERSION_FOLDERS {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        let versions = entries.flatten().map(|entry| entry.path().join("bin"));
        folders.extend(versions.filter(|bin| bin.join("initdb").exists()));
    }
    folders
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major_of(answer: &str) -> Option<u32> {
    let version = answer.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_of;

    #[test]
    fn the_major_version_is_read_from_what_postgres_answers() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("something else"), None);
    }
}
