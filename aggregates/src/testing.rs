//! Given / when / then over `cqrs_es::test`, in the words of the aggregates' tests.

use cqrs_es::test::TestFramework;

use crate::Decide;

/// The history a test starts from.
pub(crate) fn given<A: Decide>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { history: history.into_iter().collect() }
}

/// A history that waits for its command.
pub(crate) struct Given<A: Decide> {
    history: Vec<A::Event>,
}

/// A command on a history that waits for what is expected of it.
pub(crate) struct When<A: Decide> {
    history: Vec<A::Event>,
    command: A::Command,
}

impl<A: Decide> Given<A> {
    pub(crate) fn when(self, command: impl Into<A::Command>) -> When<A> {
        When { history: self.history, command: command.into() }
    }
}

impl<A: Decide> When<A> {
    /// Expects exactly these events.
    pub(crate) fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        TestFramework::<A>::with(())
            .given(self.history)
            .when(self.command)
            .then_expect_events(expected.into_iter().collect());
    }

    /// Expects that what was asked for is already so.
    pub(crate) fn then_nothing(self) {
        self.then([]);
    }

    /// Expects a refusal.
    pub(crate) fn then_refused(self, expected: A::Error)
    where
        A::Error: PartialEq,
    {
        let refused = TestFramework::<A>::with(()).given(self.history).when(self.command).inspect_result();
        assert_eq!(refused.err(), Some(expected));
    }
}
