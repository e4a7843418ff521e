//! The journal for `beancount`. Accounts are opened at the end, where they are known, on the first date there is;
//! `beancount` sorts by date, so where they stand in the file does not matter.

use std::io;

use guildhall_projections::erp_journal::JournalEntry;

use crate::ledger::{Mentioned, name, one_line, signed};

pub(crate) struct Writer<W: io::Write> {
    out: W,
    mentioned: Mentioned,
}

impl<W: io::Write> Writer<W> {
    pub(crate) fn begin(mut out: W, association: &str) -> io::Result<Self> {
        writeln!(out, "option \"title\" {}", quoted(&format!("General journal of {association}")))?;
        Ok(Self { out, mentioned: Mentioned::default() })
    }

    pub(crate) fn entry(&mut self, entry: &JournalEntry) -> io::Result<()> {
        self.mentioned.note(entry);
        let JournalEntry { entry_id, dated, kind, record_id, stream, currency, .. } = entry;
        writeln!(self.out, "\n{dated} * {}", quoted(&entry.description))?;
        writeln!(self.out, "  external_id: \"{entry_id}\"")?;
        writeln!(self.out, "  kind: {}", quoted(kind))?;
        writeln!(self.out, "  record: \"{record_id}\"")?;
        writeln!(self.out, "  stream: {}", quoted(stream))?;
        for line in &entry.lines {
            let amount = signed(line, *currency);
            writeln!(self.out, "  {:<50}  {amount:>14} {}", name(&line.account), currency.code())?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        writeln!(self.out)?;
        for code in &self.mentioned.currencies {
            writeln!(self.out, "option \"operating_currency\" \"{code}\"")?;
        }
        if let Some(first) = self.mentioned.first {
            for name in self.mentioned.accounts.keys() {
                writeln!(self.out, "{first} open {name}")?;
            }
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use guildhall_projections::erp_journal::JournalEntry;

    use crate::{
        Format,
        testing::{dues, written},
    };

    #[test]
    fn an_entry_has_its_id_as_metadata_and_opened_accounts() {
        let expected = "\
option \"title\" \"General journal of Society of Examples\"

2026-02-10 * \"Issue of invoice 2026-1\"
  external_id: \"00000000-0000-0000-0000-000000000001\"
  kind: \"invoice\"
  record: \"00000000-0000-0000-0000-000000000002\"
  stream: \"invoice-00000000-0000-0000-0000-000000000003\"
  Assets:1200-Accounts-Receivable                             120.50 USD
  Liabilities:2400-Deferred-Membership-Dues                  -120.50 USD

option \"operating_currency\" \"USD\"
2026-02-10 open Assets:1200-Accounts-Receivable
2026-02-10 open Liabilities:2400-Deferred-Membership-Dues
";
        assert_eq!(written(Format::Beancount, &[dues()]), expected);
    }

    #[test]
    fn what_people_typed_cannot_leave_its_quotes() {
        let description = "say \"hi\\\"\n2026-01-01 open Assets:X".to_owned();
        let text = written(Format::Beancount, &[JournalEntry { description, ..dues() }]);
        assert!(text.contains("* \"say \\\"hi\\\\\\\" 2026-01-01 open Assets:X\"\n"), "{text}");
    }
}
