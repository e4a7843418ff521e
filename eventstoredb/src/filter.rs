//! Which events of `$all` a reader wants.

use std::borrow::Cow;

use fancy_regex::{Regex, RegexBuilder};
use guildhall_event_store::RecordedEvent;
use tonic::Status;

use crate::wire::read::{FilterOn, FilterOptions, Window};

/// Clients ask for the absence of a word by look-ahead, so matching may have to go back. It goes back so often only.
const BACKTRACKS: usize = 1_000;
const REGEX_BYTES: usize = 1024;
const COMPILED_BYTES: usize = 256 * 1024;
const PREFIXES: usize = 64;
const PREFIX_BYTES: usize = 256;
/// Events between two checkpoints where the client leaves it to us.
const USUAL_WINDOW: u32 = 500;

/// What passes, and how often the reader hears how far the search has come.
#[derive(Debug)]
pub(crate) struct Filter {
    on: On,
    looks_like: LooksLike,
    /// A checkpoint is due after so many events, whether they pass or not.
    pub(crate) checkpoint_every: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    StreamName,
    EventType,
}

#[derive(Debug)]
enum LooksLike {
    Pattern(Box<Regex>),
    BeginsWith(Vec<String>),
}

impl Filter {
    pub(crate) fn parse(asked: FilterOptions) -> Result<Self, Status> {
        let (on, expression) = match asked.on {
            Some(FilterOn::StreamName(expression)) => (On::StreamName, expression),
            Some(FilterOn::EventType(expression)) => (On::EventType, expression),
            None => return Err(wrong("a filter looks at stream names or at event types")),
        };
        let looks_like = match (expression.regex.as_str(), expression.prefixes) {
            ("", prefixes) => LooksLike::BeginsWith(checked(prefixes)?),
            (regex, _) => LooksLike::Pattern(Box::new(compiled(regex)?)),
        };
        let window = match asked.window {
            Some(Window::Max(window)) => window,
            Some(Window::Unlimited(())) | None => USUAL_WINDOW,
        };
        if window == 0 || asked.checkpoint_interval_multiplier == 0 {
            return Err(wrong("a filter's window and its checkpoint interval are at least 1"));
        }
        let checkpoint_every = u64::from(window) * u64::from(asked.checkpoint_interval_multiplier);
        Ok(Self { on, looks_like, checkpoint_every })
    }

    pub(crate) fn accepts(&self, event: &RecordedEvent) -> Result<bool, Status> {
        let name: Cow<'_, str> = match self.on {
            On::StreamName => event.stream.to_string().into(),
            On::EventType => Cow::Borrowed(&event.type_name),
        };
        match &self.looks_like {
            LooksLike::BeginsWith(prefixes) => Ok(prefixes.iter().any(|prefix| name.starts_with(prefix))),
            LooksLike::Pattern(regex) => regex
                .is_match(&*name)
                .map_err(|_| wrong("the filter's regular expression takes too long; make it simpler")),
        }
    }
}

fn checked(prefixes: Vec<String>) -> Result<Vec<String>, Status> {
    if prefixes.is_empty() {
        return Err(wrong("a filter has a regular expression or prefixes"));
    }
    if prefixes.len() > PREFIXES || prefixes.iter().any(|prefix| prefix.len() > PREFIX_BYTES) {
        return Err(wrong(&format!("a filter has at most {PREFIXES} prefixes of at most {PREFIX_BYTES} bytes")));
    }
    Ok(prefixes)
}

fn compiled(regex: &str) -> Result<Regex, Status> {
    if regex.len() > REGEX_BYTES {
        return Err(wrong(&format!("a filter's regular expression has at most {REGEX_BYTES} bytes")));
    }
    RegexBuilder::new(regex)
        .backtrack_limit(BACKTRACKS)
        .delegate_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| wrong(&format!("the filter's regular expression cannot be read: {error}")))
}

fn wrong(detail: &str) -> Status {
    Status::invalid_argument(detail)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use guildhall_aggregates::tenant_of_slug;
    use guildhall_event_store::StreamId;
    use uuid::Uuid;

    use super::*;
    use crate::wire::read::Expression;

    fn event(category: &str, type_name: &str) -> RecordedEvent {
        RecordedEvent {
            position: 1,
            tenant: tenant_of_slug("nurses"),
            stream: StreamId::new(category, Uuid::nil()),
            version: 1,
            event_id: Uuid::nil(),
            type_name: type_name.into(),
            schema_version: 1,
            payload: "{}".into(),
            metadata: "{}".into(),
            command_id: Uuid::nil(),
            leaf_hash: [0; 32],
            recorded_at: DateTime::UNIX_EPOCH,
        }
    }

    fn regex(text: &str) -> FilterOptions {
        let expression = Expression { regex: text.into(), prefixes: vec![] };
        FilterOptions {
            checkpoint_interval_multiplier: 5,
            on: Some(FilterOn::EventType(expression)),
            window: Some(Window::Max(30)),
        }
    }

    fn prefixes(of_names: &[&str]) -> FilterOptions {
        let expression = Expression { regex: String::new(), prefixes: of_names.iter().map(|&p| p.into()).collect() };
        FilterOptions { on: Some(FilterOn::StreamName(expression)), ..regex("") }
    }

    #[test]
    fn the_filter_clients_have_by_default_lets_business_events_pass() {
        let filter = Filter::parse(regex(r"^(?!(\$.+$|PersistentConfig\d+$|Result$))")).unwrap();
        assert!(filter.accepts(&event("member", "MemberRegistered")).unwrap());
        assert!(filter.accepts(&event("member", "ResultRecorded")).unwrap());
        assert!(!filter.accepts(&event("member", "Result")).unwrap());
        assert!(!filter.accepts(&event("member", "$metadata")).unwrap());
        assert_eq!(filter.checkpoint_every, 150);
    }

    #[test]
    fn prefixes_are_of_the_whole_stream_name() {
        let filter = Filter::parse(prefixes(&["member-", "invoice-0000"])).unwrap();
        assert!(filter.accepts(&event("member", "X")).unwrap());
        assert!(filter.accepts(&event("invoice", "X")).unwrap());
        assert!(!filter.accepts(&event("membership", "X")).unwrap());
    }

    #[test]
    fn a_filter_that_cannot_be_used_is_refused() {
        let unlimited = FilterOptions { window: Some(Window::Max(0)), ..regex("x") };
        let never = FilterOptions { checkpoint_interval_multiplier: 0, ..regex("x") };
        let nothing = FilterOptions { on: None, ..regex("x") };
        let long = "x".repeat(REGEX_BYTES + 1);
        for asked in [unlimited, never, nothing, prefixes(&[]), prefixes(&[""; 65]), regex("("), regex(&long)] {
            assert_eq!(Filter::parse(asked).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn a_pattern_that_takes_too_long_ends_the_read_and_not_the_server() {
        let filter = Filter::parse(regex(r"^(?:(a+)+\1)+$")).unwrap();
        let name = format!("{}b", "a".repeat(200));
        assert!(filter.accepts(&event("member", &name)).is_err());
    }
}
