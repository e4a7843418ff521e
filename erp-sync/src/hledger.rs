//! The journal for `hledger`. Accounts and commodities are declared at the end, where they are known; `hledger` reads a
//! file whole, so that is as good as the beginning.

use std::io;

use guildhall_projections::erp_journal::JournalEntry;
use iso_currency::Currency;

use crate::ledger::{Mentioned, name, one_line, signed};

pub(crate) struct Writer<W: io::Write> {
    out: W,
    mentioned: Mentioned,
}

impl<W: io::Write> Writer<W> {
    pub(crate) fn begin(mut out: W, association: &str) -> io::Result<Self> {
        writeln!(out, "; General journal of {}", one_line(association))?;
        writeln!(out, "; The code in brackets is the entry's external id: the same id is the same entry.")?;
        Ok(Self { out, mentioned: Mentioned::default() })
    }

    pub(crate) fn entry(&mut self, entry: &JournalEntry) -> io::Result<()> {
        self.mentioned.note(entry);
        let JournalEntry { entry_id, dated, kind, record_id, stream, currency, .. } = entry;
        // A semicolon would begin a comment, a bar would make a payee of what stands before it.
        let description = one_line(&entry.description).replace(';', ",").replace('|', "/");
        writeln!(self.out, "\n{dated} ({entry_id}) {description}")?;
        writeln!(self.out, "    ; kind: {kind}, record: {record_id}, stream: {stream}")?;
        for line in &entry.lines {
            let amount = signed(line, *currency);
            writeln!(self.out, "    {:<50}  {amount:>14} {}", name(&line.account), currency.code())?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        writeln!(self.out)?;
        for code in &self.mentioned.currencies {
            let digits = usize::from(Currency::from_code(code).and_then(Currency::exponent).unwrap_or(2));
            // The example must have a decimal mark, also where the currency has no smaller unit.
            writeln!(self.out, "commodity 1000.{} {code}", "0".repeat(digits))?;
        }
        for (name, account) in &self.mentioned.accounts {
            let kind = match account.kind.as_str() {
                "asset" => "A",
                "liability" => "L",
                "equity" => "E",
                "income" => "R",
                _ => "X",
            };
            writeln!(self.out, "account {name}  ; type: {kind}")?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use guildhall_projections::erp_journal::JournalEntry;
    use iso_currency::Currency;

    use crate::{
        Format,
        testing::{dues, written},
    };

    #[test]
    fn an_entry_has_its_id_as_code_and_declared_accounts() {
        let expected = "\
; General journal of Society of Examples
; The code in brackets is the entry's external id: the same id is the same entry.

2026-02-10 (00000000-0000-0000-0000-000000000001) Issue of invoice 2026-1
    ; kind: invoice, record: 00000000-0000-0000-0000-000000000002, stream: invoice-00000000-0000-0000-0000-000000000003
    Assets:1200-Accounts-Receivable                             120.50 USD
    Liabilities:2400-Deferred-Membership-Dues                  -120.50 USD

commodity 1000.00 USD
account Assets:1200-Accounts-Receivable  ; type: A
account Liabilities:2400-Deferred-Membership-Dues  ; type: L
";
        assert_eq!(written(Format::Hledger, &[dues()]), expected);
    }

    #[test]
    fn yen_have_no_digits_and_dinars_three() {
        let yen = written(Format::Hledger, &[JournalEntry { currency: Currency::JPY, ..dues() }]);
        assert!(yen.contains(" 12050 JPY") && yen.contains("commodity 1000. JPY"), "{yen}");
        let dinars = written(Format::Hledger, &[JournalEntry { currency: Currency::BHD, ..dues() }]);
        assert!(dinars.contains(" 12.050 BHD") && dinars.contains("commodity 1000.000 BHD"), "{dinars}");
    }

    #[test]
    fn what_people_typed_cannot_begin_a_line_or_a_comment() {
        let description = "a\n2026-01-01 b\n    Assets:1  5 USD ; c | d".to_owned();
        let text = written(Format::Hledger, &[JournalEntry { description, ..dues() }]);
        assert!(text.contains(") a 2026-01-01 b     Assets:1  5 USD , c / d\n"), "{text}");
    }
}
