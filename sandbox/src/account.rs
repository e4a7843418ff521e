//! Whom a server runs as.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Uid, User};

/// An unprivileged account that root starts a server as: Postgres refuses to run as root.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account to start a server as: nobody else's when we are an ordinary user; when we are root, the owner of
    /// the data that is there already, else `postgres`, else `nobody`.
    pub(crate) fn for_data_in(data: &Path) -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        if let Some(owner) = data.metadata().ok().map(|found| Uid::from_raw(found.uid())).filter(|uid| !uid.is_root())
            && let Some(user) = User::from_uid(owner).context("reading the list of users")?
        {
            return Ok(Some(user.into()));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("reading the list of users")? {
                return Ok(Some(user.into()));
            }
        }
        bail!("Postgres does not run as root, and this machine has neither a user `postgres` nor `nobody`: add one")
    }

    /// Whether this account can go into a directory, asked of the kernel by trying.
    pub(crate) fn can_enter(&self, directory: &Path) -> Result<bool> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "cd \"$0\""]).arg(directory).current_dir("/").stderr(Stdio::null());
        let status = self.run(&mut shell).status().context("starting /bin/sh")?;
        Ok(status.success())
    }

    /// Lets a command run as this account, without any of our supplementary groups.
    pub(crate) fn run<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.uid(self.uid).gid(self.gid)
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }
    }
}
