//! Bodies: read within a limit, and refused with a pointer to what is wrong.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::problem::{Problem, kind};

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// It is larger, or the connection broke.
pub async fn body_bytes(body: Body, limit: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let over = std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if over { too_large(limit) } else { Problem::new(kind::MALFORMED_BODY, "The body broke off.") }
    })
}

/// The problem of a body beyond `limit` bytes.
pub fn too_large(limit: usize) -> Problem {
    Problem::new(kind::TOO_LARGE, format!("At most {limit} bytes are read here."))
}

/// Requires a media type, whatever its parameters.
///
/// # Errors
/// `Content-Type` is missing or another one.
pub fn require_media_type(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    Err(Problem::new(kind::UNSUPPORTED_MEDIA_TYPE, format!("Send it with `Content-Type: {media_type}`.")))
}

/// Reads JSON.
///
/// # Errors
/// `malformed-body` where it is no JSON; `invalid-body` with a pointer where it is other JSON than expected.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The plain parser first: it is the fast one. Only what it refuses is read again to learn where.
    serde_json::from_slice(bytes).or_else(|_| located(bytes))
}

fn located<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let cause = error.inner();
        if cause.is_data() {
            let detail = without_place(&cause.to_string());
            let whole = "The body is JSON, but not what this path reads: see `errors`.";
            return Problem::new(kind::INVALID_BODY, whole).at(pointer(error.path()), detail);
        }
        Problem::new(kind::MALFORMED_BODY, format!("The body is not JSON: {cause}."))
    })?;
    parser.end().map_err(|_| Problem::new(kind::MALFORMED_BODY, "The body goes on after its JSON value has ended."))?;
    Ok(value)
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The parser's words without "at line 1 column 7": the pointer says where.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(words, _)| words).to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        quantity: u32,
    }

    fn refused(body: &str) -> Problem {
        from_json::<Order>(body.as_bytes()).expect_err("the body is wrong")
    }

    #[test]
    fn a_body_that_fits_is_read() {
        let order = from_json::<Order>(br#"{"lines": [{"quantity": 2}]}"#);
        assert_eq!(order, Ok(Order { lines: vec![Line { quantity: 2 }] }));
    }

    #[test]
    fn a_wrong_type_is_pointed_at() {
        let problem = refused(r#"{"lines": [{"quantity": 1}, {"quantity": "two"}]}"#);
        assert_eq!(problem.kind(), kind::INVALID_BODY);
        assert_eq!(problem.errors()[0].pointer, "/lines/1/quantity");
        assert_eq!(problem.errors()[0].detail, "invalid type: string \"two\", expected u32");
    }

    #[test]
    fn an_unknown_field_is_pointed_at() {
        let problem = refused(r#"{"lines": [{"quantity": 1, "a/b": 2}]}"#);
        assert_eq!(problem.errors()[0].pointer, "/lines/0/a~1b");
        assert_eq!(refused(r#"{"lines": [], "note": 1}"#).errors()[0].pointer, "/note");
    }

    #[test]
    fn a_missing_field_is_named() {
        let problem = refused(r#"{"lines": [{}]}"#);
        assert_eq!(problem.errors()[0].pointer, "/lines/0");
        assert_eq!(problem.errors()[0].detail, "missing field `quantity`");
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "{", "{]", "{\"lines\": []} x", "\u{fffd}"] {
            assert_eq!(refused(body).kind(), kind::MALFORMED_BODY, "{body:?}");
        }
    }
}
