//! The journal as a table.

use std::io;

use guildhall_projections::erp_journal::JournalEntry;

use crate::ledger::decimal;

const HEADER: [&str; 15] = [
    "entry_id",
    "dated",
    "kind",
    "description",
    "line",
    "role",
    "account_code",
    "account_name",
    "account_type",
    "debit",
    "credit",
    "currency",
    "record_id",
    "stream",
    "rule_version",
];

pub(crate) struct Writer<W: io::Write> {
    rows: csv::Writer<W>,
}

impl<W: io::Write> Writer<W> {
    pub(crate) fn begin(out: W) -> io::Result<Self> {
        let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        rows.write_record(HEADER)?;
        Ok(Self { rows })
    }

    pub(crate) fn entry(&mut self, entry: &JournalEntry) -> io::Result<()> {
        for (line, number) in entry.lines.iter().zip(1_u32..) {
            let amount = |minor| decimal(minor, entry.currency).to_string();
            self.rows.write_record([
                entry.entry_id.to_string(),
                entry.dated.to_string(),
                entry.kind.clone(),
                harmless(&entry.description),
                number.to_string(),
                line.role.clone(),
                line.account.code.clone(),
                line.account.name.clone(),
                line.account.kind.clone(),
                amount(line.debit_minor),
                amount(line.credit_minor),
                entry.currency.code().to_owned(),
                entry.record_id.to_string(),
                entry.stream.clone(),
                entry.rule_version.to_string(),
            ])?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        self.rows.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Descriptions quote what people typed; a spreadsheet would run one that begins like a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::{
        Format,
        testing::{dues, written},
    };

    #[test]
    fn each_line_is_a_row() {
        let entry = guildhall_projections::erp_journal::JournalEntry { description: "=1+1, \"x\"".into(), ..dues() };
        let expected = "\
entry_id,dated,kind,description,line,role,account_code,account_name,account_type,debit,credit,currency,record_id,stream,rule_version\r
00000000-0000-0000-0000-000000000001,2026-02-10,invoice,\"'=1+1, \"\"x\"\"\",1,receivable,1200,Accounts Receivable,asset,120.50,0.00,USD,00000000-0000-0000-0000-000000000002,invoice-00000000-0000-0000-0000-000000000003,1\r
00000000-0000-0000-0000-000000000001,2026-02-10,invoice,\"'=1+1, \"\"x\"\"\",2,deferred_dues,2400,Deferred Membership Dues,liability,0.00,120.50,USD,00000000-0000-0000-0000-000000000002,invoice-00000000-0000-0000-0000-000000000003,1\r
";
        assert_eq!(written(Format::Csv, &[entry]), expected);
    }
}
