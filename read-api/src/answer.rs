//! What every answer carries: the position it stands at, a tag to ask for changes by, and a shape.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts, OriginalUri},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use guildhall_projections::reporting::LARGEST_REPORT;
use guildhall_web::{Caller, Position, Problem, TokenKeys, etag, identity::bearer};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    csv::{self, Tabular},
    format::{self, Format, ListFormat},
};

/// The header that says how far the data of an answer has come.
const POSITION: HeaderName = HeaderName::from_static("guildhall-position");
/// The header that says that this is less far than was asked for.
const STALE: HeaderName = HeaderName::from_static("guildhall-stale");
/// What a caller would like, and what of it was done (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// "Rather no answer than one that is not what I asked for."
const STRICT: &str = "handling=strict";

/// The header that says how many streams are not in an answer up to there.
const STALE_STREAMS: HeaderName = HeaderName::from_static("guildhall-stale-streams");

/// What was read: a projection or history itself, in which version, up to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    /// The projection's name, or `history`.
    pub(crate) source: &'static str,
    /// The projection's version.
    pub(crate) version: i32,
    /// Everything up to here is in the answer.
    pub(crate) position: Position,
    /// The caller asked for more than that.
    pub(crate) stale: bool,
    /// But for what happened to so many streams.
    pub(crate) stale_streams: usize,
    /// Which ones, and from where on.
    pub(crate) stale_state: u64,
}

impl Mark {
    /// History itself, up to a position.
    pub(crate) fn of_history(position: Position) -> Self {
        Self { source: "history", version: 1, position, stale: false, stale_streams: 0, stale_state: 0 }
    }

    fn stale_streams(&self) -> Option<usize> {
        Some(self.stale_streams).filter(|count| *count > 0)
    }

    fn stands(&self) -> Stands {
        Stands { position: self.position, stale: self.stale, stale_streams: self.stale_streams() }
    }
}

/// A request to read, beside its question: who asks, in which shape, and what they have already.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who asks, and so of which association.
    pub(crate) caller: Caller,
    headers: HeaderMap,
    target: String,
}

impl<S: Sync> FromRequestParts<S> for Asked
where
    TokenKeys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let target = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
        Ok(Self { caller, headers: parts.headers.clone(), target })
    }
}

/// Why a read ends before its answer is put together.
#[derive(Debug)]
pub(crate) enum Early {
    /// The caller has this answer already.
    Unchanged(Answer),
    /// There is no answer.
    Problem(Problem),
}

impl From<Problem> for Early {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Early {
    fn into_response(self) -> Response {
        match self {
            Self::Unchanged(answer) => answer.with(StatusCode::NOT_MODIFIED, Body::empty()),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl Asked {
    /// A header of the request.
    pub(crate) fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// The token of whoever asks.
    pub(crate) fn token(&self) -> &str {
        bearer(&self.headers).unwrap_or_default()
    }

    /// The shape to answer a list in.
    pub(crate) fn list_shape(&self, format: Option<ListFormat>) -> Result<Format, Problem> {
        self.shape(format.map(Format::from), format::LIST)
    }

    /// The shape to answer in, of those on offer.
    pub(crate) fn shape(&self, format: Option<Format>, offers: &[Format]) -> Result<Format, Problem> {
        format::choose(format, &self.headers, offers)
    }

    /// Whether the caller would rather have no answer than one that is older than `at_least`.
    pub(crate) fn is_strict(&self) -> bool {
        let said = self.headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        said.flat_map(|value| value.split([',', ';'])).any(|wish| wish.trim().eq_ignore_ascii_case(STRICT))
    }

    /// Begins the answer, unless the caller has it already. `beside` is what the answer depends on beside the
    /// data, the question and the caller, such as the date.
    pub(crate) fn answer(&self, format: Format, mark: Mark, beside: impl Hash) -> Result<Answer, Early> {
        let answer = Answer { tag: Some(self.tag(format, mark, beside)), ..self.passing_answer(format, mark) };
        match &answer.tag {
            Some(tag) if etag::none_match_holds(&self.headers, tag) => Err(Early::Unchanged(answer)),
            _ => Ok(answer),
        }
    }

    /// Begins an answer that nobody may keep, because what is in it may have to be forgotten.
    pub(crate) fn passing_answer(&self, format: Format, mark: Mark) -> Answer {
        Answer { mark, format, tag: None, target: self.target.clone(), strict: self.is_strict() }
    }

    /// The same tag means the same answer: same data, same question, same sight, same program.
    fn tag(&self, format: Format, mark: Mark, beside: impl Hash) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), mark, format, self.caller.tenant, &self.caller.roles, &self.target)
            .hash(&mut hasher);
        beside.hash(&mut hasher);
        let tag = format!("W/\"{}-{}-{:016x}\"", mark.source, mark.position, hasher.finish());
        HeaderValue::try_from(tag).expect("a name of ours, a position and digits can stand in a header")
    }
}

/// An answer that waits for its data.
#[derive(Debug)]
pub(crate) struct Answer {
    mark: Mark,
    format: Format,
    tag: Option<HeaderValue>,
    target: String,
    strict: bool,
}

/// How far the data of an answer has come.
#[derive(Debug, Serialize, ToSchema)]
struct Stands {
    /// Everything recorded up to here is in the answer.
    position: Position,
    /// True where this is less than `at_least` asked for; left out otherwise.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    stale: bool,
    /// How many of the association's streams the read model could not follow: what happened to them since is missing.
    /// Absent where it follows all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    stale_streams: Option<usize>,
}

/// A list, page by page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    #[serde(flatten)]
    stands: Stands,
    /// The rows of this page.
    data: Vec<T>,
    /// What to pass as `after` for the next page; null on the last.
    next: Option<String>,
}

/// Figures, all at once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Report<T> {
    #[serde(flatten)]
    stands: Stands,
    /// The lines.
    data: Vec<T>,
    /// True where there are more lines than a report gives: ask about less.
    truncated: bool,
}

/// One thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct One<T> {
    #[serde(flatten)]
    stands: Stands,
    /// The thing.
    data: T,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(stale: &bool) -> bool {
    !stale
}

impl Answer {
    /// Answers with one thing.
    pub(crate) fn one<T: Serialize>(self, data: T) -> Result<Response, Early> {
        self.json(&One { stands: self.mark.stands(), data })
    }

    /// Answers with a page of a list, as JSON or as a table. A table's `next` stands in its `Link` header alone.
    pub(crate) fn list<T: Serialize + Tabular>(self, data: Vec<T>, next: Option<String>) -> Result<Response, Early> {
        if self.format != Format::Csv {
            return self.page(data, next);
        }
        let table = self.with(StatusCode::OK, csv::table(&data));
        Ok(self.leading_on(table, next.as_deref()))
    }

    /// Answers with a page of a list that is no table.
    pub(crate) fn page<T: Serialize>(self, data: Vec<T>, next: Option<String>) -> Result<Response, Early> {
        let page = Page { stands: self.mark.stands(), data, next };
        let response = self.json(&page)?;
        Ok(self.leading_on(response, page.next.as_deref()))
    }

    fn leading_on(&self, mut response: Response, next: Option<&str>) -> Response {
        if let Some(link) = next.and_then(|next| self.link(next)) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    /// Answers with a report, as JSON or as a table.
    pub(crate) fn report<T: Serialize + Tabular>(self, data: Vec<T>) -> Result<Response, Early> {
        let truncated = i64::try_from(data.len()).is_ok_and(|lines| lines >= LARGEST_REPORT);
        match self.format {
            Format::Csv => Ok(self.with(StatusCode::OK, csv::table(&data))),
            Format::Json | Format::Hledger | Format::Beancount | Format::EventStream => {
                self.json(&Report { stands: self.mark.stands(), data, truncated })
            }
        }
    }

    /// Answers with a file, whose name ends as given.
    pub(crate) fn file(self, body: Body, extension: &str) -> Response {
        let mut response = self.with(StatusCode::OK, body);
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}.{extension}\"", self.mark.source));
        response.headers_mut().extend(disposition.ok().map(|name| (header::CONTENT_DISPOSITION, name)));
        response
    }

    /// Answers with a shape of its own.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<Response, Early> {
        let body = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
        Ok(self.with(StatusCode::OK, body))
    }

    fn with(&self, status: StatusCode, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let position = HeaderValue::try_from(self.mark.position.to_string());
        headers.insert(POSITION, position.expect("`p-` and digits can stand in a header"));
        headers.extend(self.mark.stale_streams().map(|count| (STALE_STREAMS, HeaderValue::from(count))));
        if self.mark.stale {
            headers.insert(STALE, HeaderValue::from_static("true"));
        }
        if self.strict {
            headers.insert(APPLIED, HeaderValue::from_static(STRICT));
        }
        headers.insert(header::VARY, HeaderValue::from_static("authorization, accept, prefer"));
        let keep = match &self.tag {
            // What is kept is somebody's sight of an association, and is asked about again every time.
            Some(tag) => {
                headers.insert(header::ETAG, tag.clone());
                "private, no-cache"
            }
            None => "no-store",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.format.content_type()));
        }
        response
    }

    /// The next page as a link (RFC 8288): the same question, further on.
    fn link(&self, next: &str) -> Option<HeaderValue> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
        let pairs: Vec<_> = kept.map(str::to_owned).chain([format!("after={next}")]).collect();
        let link = format!("<{path}?{}>; rel=\"next\"", pairs.join("&"));
        HeaderValue::try_from(link).ok()
    }
}
