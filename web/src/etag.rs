//! Entity tags: a stream's version as HTTP knows it.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::problem::{Problem, kind};

/// What `If-Match` asks of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: the stream exists.
    Exists,
    /// `"7"`: the stream is at this version.
    Version(u64),
}

/// The entity tag of a version: `"7"`.
pub fn of_version(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes can stand in a header")
}

/// What `If-Match` asks, when it is there.
///
/// # Errors
/// It is neither `*` nor one strong entity tag that holds a version.
pub fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let malformed = || {
        let detail = "If-Match is `*` or one version in quotes, as an ETag of ours gives it: \"7\".";
        Problem::new(kind::INVALID_HEADER, detail)
    };
    let text = value.to_str().map_err(|_| malformed())?.trim();
    if text == "*" {
        return Ok(Some(IfMatch::Exists));
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(malformed)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    digits.parse().map(|version| Some(IfMatch::Version(version))).map_err(|_| malformed())
}

/// Whether `If-None-Match` names this entity tag, so that the answer is 304 without a body.
pub fn none_match_holds(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let bare = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| candidate.trim() == "*" || bare(candidate) == bare(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Result<Option<IfMatch>, Problem> {
        if_match(&HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]))
    }

    #[test]
    fn if_match_is_a_version_or_a_star() {
        assert_eq!(read("\"7\""), Ok(Some(IfMatch::Version(7))));
        assert_eq!(read("*"), Ok(Some(IfMatch::Exists)));
        assert_eq!(if_match(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn anything_else_is_a_problem() {
        for bad in ["7", "W/\"7\"", "\"\"", "\"+7\"", "\"7\", \"8\"", "\"99999999999999999999\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_weak_tag_of_the_same_version_is_enough_for_not_modified() {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"6\", W/\"7\""))]);
        assert!(none_match_holds(&headers, &of_version(7)));
        assert!(!none_match_holds(&headers, &of_version(8)));
    }
}
