//! Places for those who stay: so many on the node, so many of one association.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use guildhall_aggregates::TenantId;

/// Places, and who has them.
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<HashMap<TenantId, usize>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: TenantId,
}

impl Places {
    /// Room for so many in all, and so many of one association.
    pub(super) fn new([most, most_of_one]: [usize; 2]) -> Self {
        Self { most, most_of_one, taken: Mutex::default() }
    }

    /// A place for somebody of an association; none where there is no more.
    pub(super) fn take(self: &Arc<Self>, tenant: TenantId) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&tenant).copied().unwrap_or(0);
        if own >= self.most_of_one || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(tenant, own + 1);
        Some(Place { places: Arc::clone(self), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use guildhall_aggregates::tenant_of_slug;

    use super::*;

    #[test]
    fn one_association_leaves_room_for_others_and_a_place_is_free_again() {
        let (nurses, lawyers) = (tenant_of_slug("nurses"), tenant_of_slug("lawyers"));
        let places = Arc::new(Places::new([3, 2]));
        let first = places.take(nurses).unwrap();
        let _second = places.take(nurses).unwrap();
        assert!(places.take(nurses).is_none());
        let _third = places.take(lawyers).unwrap();
        assert!(places.take(lawyers).is_none(), "the node has three");
        drop(first);
        assert!(places.take(lawyers).is_some());
    }
}
