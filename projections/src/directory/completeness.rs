//! How complete a profile is.

/// Biographies of up to this many characters say too little to count.
const SHORT_BIOGRAPHY: usize = 50;

/// What counts towards a complete profile. Source: "People and privacy" of the domain rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProfileParts<'a> {
    /// Given name.
    pub first_name: Option<&'a str>,
    /// Family name.
    pub last_name: Option<&'a str>,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Telephone number.
    pub phone: Option<&'a str>,
    /// Where a picture is.
    pub picture_url: Option<&'a str>,
    /// Text about the person.
    pub biography: Option<&'a str>,
    /// How many credentials.
    pub credentials: usize,
    /// How many links to pages elsewhere.
    pub social_links: usize,
}

/// Points out of 100: first name 10, last name 10, e-mail 10, phone 10, picture 15, biography longer than 50 characters
/// 15, at least one credential 20, at least one social link 10.
///
/// ```
/// use guildhall_projections::directory::{ProfileParts, completeness};
/// let ada = ProfileParts { first_name: Some("Ada"), last_name: Some("Lovelace"), ..ProfileParts::default() };
/// assert_eq!(completeness(&ada), 20);
/// assert_eq!(completeness(&ProfileParts { credentials: 3, ..ada }), 40);
/// ```
pub fn completeness(parts: &ProfileParts<'_>) -> i16 {
    let given = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    let told = parts.biography.is_some_and(|text| text.trim().chars().count() > SHORT_BIOGRAPHY);
    [
        (given(parts.first_name), 10),
        (given(parts.last_name), 10),
        (given(parts.email), 10),
        (given(parts.phone), 10),
        (given(parts.picture_url), 15),
        (told, 15),
        (parts.credentials > 0, 20),
        (parts.social_links > 0, 10),
    ]
    .iter()
    .filter_map(|(has, points)| has.then_some(*points))
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(biography: &str) -> ProfileParts<'_> {
        ProfileParts {
            first_name: Some("Ada"),
            last_name: Some("Lovelace"),
            email: Some("ada@example.org"),
            phone: Some("1"),
            picture_url: Some("https://example.org/ada.png"),
            biography: Some(biography),
            credentials: 1,
            social_links: 1,
        }
    }

    #[test]
    fn a_profile_with_everything_is_complete() {
        assert_eq!(completeness(&all(&"x".repeat(51))), 100);
    }

    #[test]
    fn a_biography_of_fifty_characters_does_not_count() {
        assert_eq!(completeness(&all(&"ö".repeat(50))), 85);
    }

    #[test]
    fn an_empty_profile_has_no_points_and_blank_text_is_empty() {
        assert_eq!(completeness(&ProfileParts::default()), 0);
        assert_eq!(completeness(&ProfileParts { email: Some("  "), ..ProfileParts::default() }), 0);
    }
}
