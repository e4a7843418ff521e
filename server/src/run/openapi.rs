//! `guildhall openapi`: the description of the HTTP API.

use std::process::ExitCode;

use super::Output;

pub(crate) fn print() -> anyhow::Result<ExitCode> {
    let document = crate::http::document();
    Output::new(false).report(&document.to_pretty_json()?, &())?;
    Ok(ExitCode::SUCCESS)
}
