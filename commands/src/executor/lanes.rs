//! The lanes that are in memory.

use std::{
    any::Any,
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
};

use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use guildhall_event_store::{RecordedEvent, StreamId};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter, sync::Cache};
use uuid::Uuid;

use super::lane::Lane;

type Key = (TenantId, Uuid, &'static str);

/// A `Lane<A>` of any aggregate; which one, its category says.
pub(super) trait AnyLane: Any + Send + Sync {
    /// Learns what another node recorded.
    fn hear(&self, event: &RecordedEvent);
}

/// As many lanes as there is room for, those in use and those that were used last.
pub(super) struct Lanes {
    cache: Cache<Key, Arc<dyn AnyLane>, UnitWeighter, DefaultHashBuilder, KeepThoseInUse>,
    /// The names of categories, which all lanes share.
    categories: RwLock<HashMap<&'static str, Arc<str>>>,
}

impl Lanes {
    pub(super) fn new(most: usize) -> Self {
        let mut options = OptionsBuilder::new();
        // No memory is spent on remembering what was dropped.
        options.estimated_items_capacity(most).weight_capacity(most as u64).ghost_allocation(0.0);
        let options = options.build().expect("both capacities are given");
        let cache = Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), KeepThoseInUse);
        Self { cache, categories: RwLock::default() }
    }

    /// The lane of a stream; there is never more than one.
    pub(super) fn of<A: Decide>(&self, tenant: TenantId, id: Uuid) -> Arc<Lane<A>> {
        let category = A::Event::CATEGORY;
        let made = self.cache.get_or_insert_with(&(tenant, id, category), || {
            let stream = StreamId { category: self.shared(category), id };
            Ok::<Arc<dyn AnyLane>, Infallible>(Arc::new(Lane::<A>::new(tenant, stream)))
        });
        let Ok(lane) = made;
        let lane: Arc<dyn Any + Send + Sync> = lane;
        lane.downcast().expect("a category belongs to one aggregate")
    }

    /// Tells the event's lane of it, if that is in memory.
    pub(super) fn hear(&self, event: &RecordedEvent) {
        let categories = self.categories.read().unwrap_or_else(PoisonError::into_inner);
        let known = categories.get_key_value(&*event.stream.category).map(|(category, _)| *category);
        drop(categories);
        // A peek: that others use a stream is no reason to keep it here.
        if let Some(lane) = known.and_then(|category| self.cache.peek(&(event.tenant, event.stream.id, category))) {
            lane.hear(event);
        }
    }

    fn shared(&self, category: &'static str) -> Arc<str> {
        let mut categories = self.categories.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(categories.entry(category).or_insert_with(|| category.into()))
    }
}

/// A lane that somebody holds stays: a second lane of the same stream would not know of its commands.
#[derive(Clone, Copy)]
struct KeepThoseInUse;

impl Lifecycle<Key, Arc<dyn AnyLane>> for KeepThoseInUse {
    type RequestState = ();

    fn is_pinned(&self, _: &Key, lane: &Arc<dyn AnyLane>) -> bool {
        Arc::strong_count(lane) > 1
    }
}
