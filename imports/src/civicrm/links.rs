//! `membership_payment` and `participant_payment`: what each contribution was for. A contribution stands by
//! itself here, so the links are not kept; they are read to find payments that do not match.

use std::collections::HashMap;

use guildhall_aggregates::Money;

use super::table::Table;

/// What every membership or registration is: whose, and at what price.
pub(super) type Priced = HashMap<u64, (u64, Money)>;

/// What contributions were for, by the ids of the contributions.
#[derive(Default)]
pub(super) struct Links {
    of: HashMap<u64, Vec<Link>>,
}

/// One thing that a contribution was for.
struct Link {
    /// `membership 17`.
    what: String,
    /// Whose it is and its price; none when it is not imported.
    priced: Option<(u64, Money)>,
}

impl Links {
    /// Adds the links of a table. One that cannot be read is as good as none.
    pub(super) fn add(&mut self, table: &Table, what: &str, priced: &Priced) {
        for row in table.rows() {
            let ids = (row.needed_number("contribution_id"), row.needed_number(&format!("{what}_id")));
            if let (Ok(contribution), Ok(id)) = ids {
                let link = Link { what: format!("{what} {id}"), priced: priced.get(&id).copied() };
                self.of.entry(contribution).or_default().push(link);
            }
        }
    }

    /// What does not match about a contribution of this contact and amount.
    pub(super) fn mismatches(&self, contribution: u64, contact: u64, amount: Money) -> Vec<String> {
        let links = self.of.get(&contribution).map_or(&[][..], Vec::as_slice);
        let mut remarks = Vec::new();
        let mut price = Some(0);
        for Link { what, priced } in links {
            match priced {
                None => {
                    remarks.push(format!("is for {what}, which is not imported"));
                    price = None;
                }
                Some((owner, _)) if *owner != contact => remarks.push(format!("is for {what} of another contact")),
                Some(_) => {}
            }
            let same_currency = priced.filter(|(_, price)| price.currency == amount.currency);
            price = price.and_then(|sum: i64| sum.checked_add(same_currency?.1.minor));
        }
        if let Some(minor) = price.filter(|minor| !links.is_empty() && *minor != amount.minor) {
            let price = Money::new(minor, amount.currency).decimal();
            let whats: Vec<_> = links.iter().map(|link| link.what.as_str()).collect();
            remarks.push(format!("is {} for {}, which cost {price}", amount.decimal(), whats.join(" and ")));
        }
        remarks
    }
}
