//! What a call of `Read` asks for.

use bytes::Bytes;
use guildhall_event_store::{RecordedEvent, StreamId};
use tonic::Status;

use crate::{
    filter::Filter,
    wire::{
        StreamName,
        read::{Amount, Choice, FromAll, FromStream, IdShape, Options, Place, ReadRequest, Revision, Source},
    },
};

/// A request that makes sense.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) what: What,
    pub(crate) from: From,
    pub(crate) amount: Wanted,
    pub(crate) filter: Option<Filter>,
    pub(crate) form: Form,
}

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Those of one stream. A name that none of our streams can have names a stream that does not exist.
    Stream { name: Bytes, stream: Option<StreamId> },
    /// Those of the whole association.
    All,
}

/// Where to begin, as the client counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    End,
    At(u64),
}

/// How much, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Forwards(u64),
    Backwards(u64),
    Subscription,
}

/// What the answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Ids as two numbers, not as text.
    pub(crate) structured_ids: bool,
    /// The client understands where a stream ends.
    pub(crate) tells_the_end: bool,
}

impl Asked {
    pub(crate) fn parse(request: ReadRequest) -> Result<Self, Status> {
        let options = request.options.ok_or_else(|| wrong("the request says nothing"))?;
        let form = form(&options);
        let backwards = match options.direction {
            0 => false,
            1 => true,
            _ => return Err(wrong("a direction is forwards (0) or backwards (1)")),
        };
        let amount = match (options.amount, backwards) {
            (Some(Amount::Count(count)), false) => Wanted::Forwards(count),
            (Some(Amount::Count(count)), true) => Wanted::Backwards(count),
            (Some(Amount::Subscription(())), false) => Wanted::Subscription,
            (Some(Amount::Subscription(())), true) => return Err(wrong("a subscription goes forwards")),
            (None, _) => return Err(wrong("the request asks for no number of events and for no subscription")),
        };
        let (what, from) = match options.source {
            Some(Source::Stream(stream)) => of_stream(stream)?,
            Some(Source::All(all)) => (What::All, of_all(all)?),
            None => return Err(wrong("the request names no stream")),
        };
        let filter = match options.choice {
            Some(Choice::Filter(_)) if what != What::All => return Err(wrong("a filter is for `$all`")),
            Some(Choice::Filter(filter)) => Some(Filter::parse(filter)?),
            Some(Choice::NoFilter(())) | None => None,
        };
        Ok(Self { what, from, amount, filter, form })
    }

    /// Whether an event passes the filter, if there is one.
    pub(crate) fn wants(&self, event: &RecordedEvent) -> Result<bool, Status> {
        self.filter.as_ref().map_or(Ok(true), |filter| filter.accepts(event))
    }
}

fn of_stream(asked: FromStream) -> Result<(What, From), Status> {
    let StreamName { name } = asked.stream.ok_or_else(|| wrong("the request names no stream"))?;
    let from = match asked.from {
        Some(Revision::At(revision)) => From::At(revision),
        Some(Revision::Start(())) => From::Start,
        Some(Revision::End(())) => From::End,
        None => return Err(wrong("the request does not say where in the stream to begin")),
    };
    Ok((What::Stream { stream: stream_named(&name), name }, from))
}

fn of_all(asked: FromAll) -> Result<From, Status> {
    match asked.from {
        Some(Place::At(position)) => Ok(From::At(position.commit)),
        Some(Place::Start(())) => Ok(From::Start),
        Some(Place::End(())) => Ok(From::End),
        None => Err(wrong("the request does not say where in `$all` to begin")),
    }
}

/// A stream has one name: an id in capitals, or without its hyphens, is another.
fn stream_named(name: &[u8]) -> Option<StreamId> {
    let name = std::str::from_utf8(name).ok()?;
    name.parse().ok().filter(|stream: &StreamId| stream.to_string() == name)
}

fn form(options: &Options) -> Form {
    let ids = options.ids.and_then(|ids| ids.shape);
    Form {
        structured_ids: matches!(ids, Some(IdShape::Structured(()))),
        tells_the_end: options.control.is_some_and(|control| control.compatibility >= 1),
    }
}

fn wrong(detail: &str) -> Status {
    Status::invalid_argument(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read::{Expression, FilterOn, FilterOptions};

    fn options() -> Options {
        Options {
            source: Some(Source::All(FromAll { from: Some(Place::Start(())) })),
            amount: Some(Amount::Count(10)),
            choice: Some(Choice::NoFilter(())),
            ..Options::default()
        }
    }

    fn parsed(options: Options) -> Result<Asked, Status> {
        Asked::parse(ReadRequest { options: Some(options) })
    }

    #[test]
    fn a_request_that_makes_no_sense_is_refused() {
        let named = |name: &'static str| FromStream {
            stream: Some(StreamName { name: name.into() }),
            from: Some(Revision::Start(())),
        };
        let expression = Expression { regex: "x".into(), prefixes: vec![] };
        let filter = FilterOptions {
            checkpoint_interval_multiplier: 1,
            on: Some(FilterOn::EventType(expression)),
            window: None,
        };
        let wrong = [
            Options { source: None, ..options() },
            Options { amount: None, ..options() },
            Options { direction: 2, ..options() },
            Options { direction: 1, amount: Some(Amount::Subscription(())), ..options() },
            Options { source: Some(Source::All(FromAll { from: None })), ..options() },
            Options { source: Some(Source::Stream(FromStream { from: None, ..named("member-x") })), ..options() },
            Options { source: Some(Source::Stream(FromStream { stream: None, ..named("x") })), ..options() },
            Options { source: Some(Source::Stream(named("x"))), choice: Some(Choice::Filter(filter)), ..options() },
        ];
        for options in wrong {
            assert_eq!(parsed(options).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
        assert!(Asked::parse(ReadRequest { options: None }).is_err());
        assert!(parsed(options()).is_ok());
    }

    #[test]
    fn a_stream_has_one_name() {
        assert!(stream_named(b"member-0198c0de-0000-7000-8000-00000000b002").is_some());
        for other in [
            "member-0198C0DE-0000-7000-8000-00000000B002",
            "member-0198c0de000070008000000000b002",
            "$ce-member",
            "$all",
            "",
        ] {
            assert_eq!(stream_named(other.as_bytes()), None, "{other}");
        }
        assert_eq!(stream_named(&[0xff, 0xfe]), None);
    }
}
