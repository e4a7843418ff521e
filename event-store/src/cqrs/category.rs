//! Which category the streams of a foreign aggregate have.

use std::collections::BTreeMap;

/// What the categories of all foreign aggregates begin with, and those of Guildhall's own never do.
const PREFIX: &str = "app_";

/// What a name begins with that is spelt out, letter by letter.
const SPELT: &str = "app__";

/// The most letters a category may have.
const MOST_LETTERS: usize = 63;

/// Whether the streams of a category belong to an aggregate that is none of Guildhall's own.
///
/// ```
/// use guildhall_event_store::cqrs::is_foreign;
/// assert!(is_foreign("app_bank_account"));
/// assert!(!is_foreign("membership"));
/// ```
pub fn is_foreign(category: &str) -> bool {
    category.starts_with(PREFIX)
}

/// The categories of foreign aggregates. They all begin with `app_`, so that none is ever taken for one of Guildhall's
/// own, whatever an aggregate calls itself, and no two types share one.
///
/// A type of lower-case letters and underscores stands as it is: `bank_account` becomes `app_bank_account`. Any other is
/// spelt out after `app__`: a capital as an underscore and the letter, anything else but a lower-case letter as two
/// underscores and two letters from `a` to `p`, sixteen times the first plus the second. Or it is given a name by hand.
///
/// ```
/// use guildhall_event_store::cqrs::Categories;
/// # fn main() -> Result<(), guildhall_event_store::cqrs::CategoryError> {
/// let categories = Categories::default().with("BankAccount", "bank_account")?;
/// assert_eq!(categories.of("customer")?, "app_customer");
/// assert_eq!(categories.of("BankAccount")?, "app_bank_account");
/// assert_eq!(categories.of("OrderV2")?, "app___order_v__dc");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Categories {
    /// The category of each type that was given one.
    given: BTreeMap<String, String>,
}

/// Why an aggregate type has no category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CategoryError {
    /// The type is empty.
    #[error("an aggregate type is empty")]
    Empty,
    /// The type is too long when spelt out.
    #[error(
        "the aggregate type {aggregate_type:?} makes a category of more than {MOST_LETTERS} letters; give it a shorter name"
    )]
    TooLong {
        /// The type.
        aggregate_type: String,
    },
    /// The name is none.
    #[error("{name:?} is no name for a category: up to 59 lower-case letters and underscores, beginning with a letter")]
    NotAName {
        /// The name.
        name: String,
    },
    /// Two types would share a category.
    #[error("{aggregate_type:?} and {holder:?} would both have the category {category}; give one of them another name")]
    Taken {
        /// The type that has none.
        aggregate_type: String,
        /// The type that has it.
        holder: String,
        /// The category.
        category: String,
    },
}

impl Categories {
    /// The same, with the category `app_<name>` for a type.
    ///
    /// # Errors
    /// The name is none, or another type has it.
    pub fn with(mut self, aggregate_type: &str, name: &str) -> Result<Self, CategoryError> {
        let category = format!("{PREFIX}{name}");
        if !is_plain(name) || category.len() > MOST_LETTERS {
            return Err(CategoryError::NotAName { name: name.to_owned() });
        }
        self.free_for(aggregate_type, &category)?;
        self.given.insert(aggregate_type.to_owned(), category);
        Ok(self)
    }

    /// The category of a type's streams.
    ///
    /// # Errors
    /// The type is empty or too long, or was given no name while another was given the one it would have.
    pub fn of(&self, aggregate_type: &str) -> Result<String, CategoryError> {
        if let Some(given) = self.given.get(aggregate_type) {
            return Ok(given.clone());
        }
        let category = match aggregate_type {
            "" => return Err(CategoryError::Empty),
            plain if is_plain(plain) => format!("{PREFIX}{plain}"),
            other => spelt_out(other),
        };
        if category.len() > MOST_LETTERS {
            return Err(CategoryError::TooLong { aggregate_type: aggregate_type.to_owned() });
        }
        self.free_for(aggregate_type, &category)?;
        Ok(category)
    }

    fn free_for(&self, aggregate_type: &str, category: &str) -> Result<(), CategoryError> {
        let holder = self.given.iter().find(|(holder, given)| *given == category && *holder != aggregate_type);
        match holder {
            None => Ok(()),
            Some((holder, _)) => Err(CategoryError::Taken {
                aggregate_type: aggregate_type.to_owned(),
                holder: holder.clone(),
                category: category.to_owned(),
            }),
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn spelt_out(aggregate_type: &str) -> String {
    let sixteenth = |nibble: u8| char::from(b'a' + nibble);
    aggregate_type.bytes().fold(SPELT.to_owned(), |mut category, byte| {
        match byte {
            b'a'..=b'z' => category.push(char::from(byte)),
            b'A'..=b'Z' => category.extend(['_', char::from(byte.to_ascii_lowercase())]),
            _ => category.extend(['_', '_', sixteenth(byte >> 4), sixteenth(byte & 15)]),
        }
        category
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a spelt-out category back.
    fn spelt_by(category: &str) -> String {
        let mut letters = category.strip_prefix(SPELT).expect("it is spelt out").bytes();
        let mut bytes = Vec::new();
        while let Some(letter) = letters.next() {
            bytes.push(
                match (letter, (letter == b'_').then(|| letters.next().expect("an underscore begins something"))) {
                    (b'_', Some(b'_')) => {
                        let mut nibble = || letters.next().expect("two letters follow") - b'a';
                        nibble() * 16 + nibble()
                    }
                    (b'_', Some(capital)) => capital.to_ascii_uppercase(),
                    _ => letter,
                },
            );
        }
        String::from_utf8(bytes).expect("a type is text")
    }

    proptest! {
        #[test]
        fn every_type_has_a_category_of_its_own_from_which_it_can_be_read(aggregate_type in "[a-zA-Z0-9_.:é-]{1,7}") {
            let category = Categories::default().of(&aggregate_type).expect("it is short");
            prop_assert!(category.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(category.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", category);
            let read = if is_plain(&aggregate_type) {
                category.strip_prefix(PREFIX).expect("it has the prefix").to_owned()
            } else {
                spelt_by(&category)
            };
            prop_assert_eq!(read, aggregate_type);
        }

        #[test]
        fn a_plain_category_is_never_a_spelt_out_one(plain in "[a-z][a-z_]{0,20}") {
            prop_assert!(!Categories::default().of(&plain).expect("it is short").starts_with(SPELT));
        }
    }

    #[test]
    fn two_types_never_share_a_category_that_was_given_by_hand() {
        let categories = Categories::default().with("Customer", "customer").expect("it is a name");
        assert_eq!(categories.of("Customer").as_deref(), Ok("app_customer"));
        assert!(matches!(categories.of("customer"), Err(CategoryError::Taken { .. })));
        assert!(matches!(categories.clone().with("Client", "customer"), Err(CategoryError::Taken { .. })));
        assert_eq!(categories.clone().with("Customer", "customer"), Ok(categories));
    }

    #[test]
    fn a_type_or_name_that_makes_no_category_is_refused() {
        assert_eq!(Categories::default().of(""), Err(CategoryError::Empty));
        assert!(matches!(Categories::default().of(&"C".repeat(30)), Err(CategoryError::TooLong { .. })));
        assert!(Categories::default().with("C", &"c".repeat(59)).is_ok());
        for name in ["", "_c", "c2", "C", &"c".repeat(60)] {
            assert!(matches!(Categories::default().with("C", name), Err(CategoryError::NotAName { .. })), "{name}");
        }
    }
}
