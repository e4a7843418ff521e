//! Old events, read as today's.

use std::{any::TypeId, cell::RefCell, collections::HashMap, rc::Rc};

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use guildhall_aggregates::StoredEvent;

use crate::record::{DecodeError, StreamId};

type Upcasters = Rc<[Box<dyn EventUpcaster>]>;

thread_local! {
    static UPCASTERS: RefCell<HashMap<TypeId, Upcasters>> = RefCell::default();
}

/// What of an event is needed to read it.
pub(crate) struct Stored<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) position: u64,
    pub(crate) version: u64,
    pub(crate) type_name: &'a str,
    pub(crate) schema_version: u16,
    pub(crate) payload: &'a [u8],
}

impl Stored<'_> {
    /// Decodes it; the stored bytes go straight to the type unless an upcaster of its aggregate says that this version
    /// needs it.
    pub(crate) fn decode<E: StoredEvent>(&self) -> Result<E, DecodeError> {
        let upcasters = upcasters_of::<E>();
        if upcasters.is_empty() {
            return serde_json::from_slice(self.payload).map_err(|error| self.unreadable(error.to_string()));
        }
        let version = self.schema_version.to_string();
        if !upcasters.iter().any(|upcaster| upcaster.can_upcast(self.type_name, &version)) {
            return serde_json::from_slice(self.payload).map_err(|error| self.unreadable(error.to_string()));
        }
        let payload = serde_json::from_slice(self.payload).map_err(|error| self.unreadable(error.to_string()))?;
        let mut current = SerializedEvent {
            aggregate_id: self.stream.id.to_string(),
            sequence: usize::try_from(self.version).unwrap_or(usize::MAX),
            aggregate_type: self.stream.category.to_string(),
            event_type: self.type_name.to_owned(),
            event_version: version,
            payload,
            metadata: serde_json::Value::Null,
        };
        for upcaster in upcasters.iter() {
            if upcaster.can_upcast(&current.event_type, &current.event_version) {
                current = upcaster.upcast(current);
            }
        }
        serde_json::from_value(current.payload).map_err(|error| self.unreadable(error.to_string()))
    }

    /// An error about this event.
    pub(crate) fn unreadable(&self, reason: String) -> DecodeError {
        DecodeError {
            position: self.position,
            type_name: self.type_name.into(),
            schema_version: self.schema_version,
            reason,
        }
    }
}

fn upcasters_of<E: StoredEvent>() -> Upcasters {
    UPCASTERS
        .with_borrow_mut(|known| Rc::clone(known.entry(TypeId::of::<E>()).or_insert_with(|| E::upcasters().into())))
}
