//! In which shape an answer is wanted: by `?format=`, else by `Accept`.

use axum::http::{HeaderMap, header};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::problems;

/// A shape an answer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// A table (RFC 4180).
    Csv,
    /// A journal as `hledger` reads it.
    Hledger,
    /// A ledger as `beancount` reads it.
    Beancount,
    /// Server-sent events; by `Accept` alone.
    #[serde(skip)]
    EventStream,
}

/// The shapes that every list can have, as a parameter names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListFormat {
    /// JSON.
    Json,
    /// A table (RFC 4180).
    Csv,
}

impl From<ListFormat> for Format {
    fn from(format: ListFormat) -> Self {
        match format {
            ListFormat::Json => Self::Json,
            ListFormat::Csv => Self::Csv,
        }
    }
}

/// What every list can be had as.
pub(crate) const LIST: &[Format] = &[Format::Json, Format::Csv];

impl Format {
    /// The value of `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Hledger => "text/x-hledger; charset=utf-8",
            Self::Beancount => "text/x-beancount; charset=utf-8",
            Self::EventStream => "text/event-stream",
        }
    }

    /// The name without parameters, which `Accept` asks for.
    fn media_type(self) -> &'static str {
        self.content_type().split(';').next().unwrap_or_default()
    }
}

/// The shape to answer in. `asked` is the parameter `format`; the first offer is given to those who do not mind.
///
/// # Errors
/// The path offers none that `Accept` takes.
pub(crate) fn choose(asked: Option<Format>, headers: &HeaderMap, offers: &[Format]) -> Result<Format, Problem> {
    if let Some(format) = asked {
        return Ok(format);
    }
    let ranges: Vec<_> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return offers.first().copied().ok_or_else(|| Problem::internal(&"a path offers no format"));
    }
    let mut best = None;
    for &offer in offers {
        let weight = weight_of(offer.media_type(), &ranges);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    let names = || offers.iter().map(|offer| offer.media_type()).collect::<Vec<_>>().join(", ");
    best.map(|(offer, _)| offer)
        .ok_or_else(|| Problem::new(problems::NOT_ACCEPTABLE, format!("This path gives {}.", names())))
}

/// One range of `Accept`, such as `text/*;q=0.5`.
struct Range<'a> {
    name: &'a str,
    /// In thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| name.contains('/'))?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(Self { name, weight: quality.map_or(Some(1_000), thousandths)? })
    }

    /// How closely the range names a media type: 0 not at all, 3 exactly.
    fn closeness(&self, media_type: &str) -> u8 {
        let family = media_type.split('/').next().unwrap_or_default();
        match self.name.split_once('/') {
            Some(("*", "*")) => 1,
            Some((of, "*")) if of.eq_ignore_ascii_case(family) => 2,
            _ if self.name.eq_ignore_ascii_case(media_type) => 3,
            _ => 0,
        }
    }
}

/// `0.5` as 500; at most three digits after the point (RFC 9110).
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, part) = quality.split_once('.').unwrap_or((quality, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1_000),
        _ => None,
    }
}

/// The weight of the range that names the media type most closely.
fn weight_of(media_type: &str, ranges: &[Range<'_>]) -> u16 {
    let closest = ranges.iter().filter(|range| range.closeness(media_type) > 0);
    closest.max_by_key(|range| range.closeness(media_type)).map_or(0, |range| range.weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepting(accept: &'static str) -> Result<Format, Problem> {
        choose(None, &HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]), LIST)
    }

    #[test]
    fn who_does_not_mind_gets_json() {
        assert_eq!(choose(None, &HeaderMap::new(), LIST), Ok(Format::Json));
        for any in ["*/*", "application/*", "text/html, */*;q=0.1", "text/*;q=0.2, application/json"] {
            assert_eq!(accepting(any), Ok(Format::Json), "{any}");
        }
    }

    #[test]
    fn the_closest_range_and_the_highest_weight_decide() {
        for csv in ["text/csv", "TEXT/CSV;q=0.5", "application/json;q=0.4, text/*;q=0.5", "*/*, application/json;q=0"] {
            assert_eq!(accepting(csv), Ok(Format::Csv), "{csv}");
        }
    }

    #[test]
    fn what_cannot_be_given_is_a_problem() {
        for none in ["text/html", "application/json;q=0", "image/*"] {
            assert_eq!(accepting(none).map_err(|problem| problem.kind()), Err(problems::NOT_ACCEPTABLE), "{none}");
        }
    }

    #[test]
    fn the_parameter_wins_over_the_header() {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html"))]);
        assert_eq!(choose(Some(Format::Csv), &headers, LIST), Ok(Format::Csv));
    }
}
