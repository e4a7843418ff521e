//! How much is too much, and who is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use guildhall_aggregates::TenantId;
use tonic::Status;

/// What one endpoint takes on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many events one query gets, and one reader holds in memory: 1 to 10,000.
    pub page_events: usize,
    /// How many reads and subscriptions one association may have open.
    pub reads_per_association: usize,
    /// How many reads and subscriptions there may be in all.
    pub reads: usize,
    /// How many queries run at once, so that auditors leave connections to everybody else.
    pub queries: usize,
    /// How many connections there may be. Further ones wait.
    pub connections: usize,
    /// How many calls one connection may have open.
    pub calls_per_connection: u32,
    /// How long a call may take until its answer begins.
    pub call_timeout: Duration,
    /// How long a subscription waits before it looks again whether its token still holds.
    pub look_again: Duration,
    /// How long open reads may take to end when the endpoint stops.
    pub farewell: Duration,
}

impl Default for Limits {
    /// Pages of 200 events; 32 reads for an association and 256 in all, 4 queries at once; 256 connections with 64 calls
    /// on each.
    fn default() -> Self {
        Self {
            page_events: 200,
            reads_per_association: 32,
            reads: 256,
            queries: 4,
            connections: 256,
            calls_per_connection: 64,
            call_timeout: Duration::from_secs(30),
            look_again: Duration::from_secs(1),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Who reads at the moment.
pub(crate) struct Places {
    limits: Limits,
    taken: Mutex<HashMap<TenantId, usize>>,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// A place for one read, which is free again when it is dropped.
    pub(crate) fn take(self: &Arc<Self>, tenant: TenantId) -> Result<Place, Status> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.limits.reads {
            return Err(Status::resource_exhausted("too many reads are open on this server; try again later"));
        }
        let of_tenant = taken.entry(tenant).or_default();
        if *of_tenant >= self.limits.reads_per_association {
            let limit = self.limits.reads_per_association;
            let detail =
                format!("{limit} reads and subscriptions of this association are open, which is the limit; end one");
            return Err(Status::resource_exhausted(detail));
        }
        *of_tenant += 1;
        metrics::gauge!("eventstoredb_reads_open").increment(1);
        Ok(Place { places: Arc::clone(self), tenant })
    }
}

/// The right to read, for as long as it is held.
pub(crate) struct Place {
    places: Arc<Places>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = taken.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                taken.remove(&self.tenant);
            }
        }
        metrics::gauge!("eventstoredb_reads_open").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::tenant_of_slug;

    use super::*;

    #[test]
    fn an_association_cannot_take_the_places_of_another() {
        let places = Places::new(Limits { reads_per_association: 1, reads: 2, ..Limits::default() });
        let (nurses, lawyers, pilots) = (tenant_of_slug("nurses"), tenant_of_slug("lawyers"), tenant_of_slug("pilots"));
        let first = places.take(nurses).unwrap();
        assert!(places.take(nurses).is_err());
        let _second = places.take(lawyers).unwrap();
        assert!(places.take(pilots).is_err());
        drop(first);
        assert!(places.take(pilots).is_ok());
        assert_eq!(places.taken.lock().unwrap().len(), 1, "who reads nothing is not remembered");
    }
}
