//! How a subcommand reports: a text for people or JSON for programs, on standard output.

use std::io::Write as _;

use serde::Serialize;

/// Where reports go, and in which form.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Reports as JSON, or as text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether people read along.
    pub(crate) fn is_for_people(&self) -> bool {
        !self.json
    }

    /// The report, in the form that was asked for.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn report(&self, text: &str, value: &impl Serialize) -> anyhow::Result<()> {
        if self.json { self.line(&serde_json::to_string(value)?) } else { self.line(text) }
    }

    /// A line for people, and nothing for programs.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn tell(&self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { self.line(text) }
    }

    #[expect(clippy::unused_self, reason = "all writing goes through an `Output`")]
    fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}
