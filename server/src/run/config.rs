//! `guildhall config`: look at the configuration, or make a new one.

use std::process::ExitCode;

use guildhall_event_store::KeyEncryptionKey;

use super::Output;
use crate::config::Config;

const HIDDEN: &str = "(set)";

/// Prints the configuration in force without its secrets. That it was loaded says that it holds.
pub(crate) fn check(config: &Config, output: &Output) -> anyhow::Result<ExitCode> {
    let mut shown = config.clone();
    shown.auth.token_secret = HIDDEN.into();
    shown.vault.key_encryption_key = HIDDEN.into();
    shown.integrity = shown.integrity.shown(HIDDEN);
    shown.database.url = without_password(&shown.database.url);
    output.report(&format!("The configuration holds.\n\n{}", toml::to_string(&shown)?), &shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a configuration with the defaults and fresh secrets.
pub(crate) fn print_new() -> anyhow::Result<ExitCode> {
    let mut fresh = Config::default();
    fresh.database.url = "postgres://guildhall@localhost/guildhall".into();
    fresh.auth.token_secret = KeyEncryptionKey::generate().encoded();
    fresh.vault.key_encryption_key = KeyEncryptionKey::generate().encoded();
    fresh.integrity.signing_key = KeyEncryptionKey::generate().encoded();
    Output::new(false).report(
        &format!(
            "# Keep vault.key_encryption_key safe and apart from the database: losing it loses all personal data.\n{}",
            toml::to_string(&fresh)?
        ),
        &fresh,
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A database URL without what stands between the user's name and the host.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.into() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let name = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{name}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("postgres://ann:s3cret@db/guildhall"), "postgres://ann@db/guildhall");
        assert_eq!(without_password("postgres://ann:p@ss@db/guildhall"), "postgres://ann@db/guildhall");
        assert_eq!(without_password("postgres://db/guildhall"), "postgres://db/guildhall");
        assert_eq!(without_password("host=db password=s3cret"), HIDDEN);
    }
}
