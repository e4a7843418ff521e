//! Old events, read as today's.

use std::{any::TypeId, cell::RefCell, collections::HashMap, rc::Rc};

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use guildhall_aggregates::StoredEvent;

use crate::record::{DecodeError, RecordedEvent};

type Upcasters = Rc<[Box<dyn EventUpcaster>]>;

thread_local! {
    static UPCASTERS: RefCell<HashMap<TypeId, Upcasters>> = RefCell::default();
}

/// Decodes an event; the stored bytes go straight to the type unless an upcaster of its aggregate says
/// that this version needs it.
pub(crate) fn decode<E: StoredEvent>(event: &RecordedEvent) -> Result<E, DecodeError> {
    let upcasters = upcasters_of::<E>();
    let version = event.schema_version.to_string();
    if !upcasters.iter().any(|upcaster| upcaster.can_upcast(&event.type_name, &version)) {
        return serde_json::from_slice(&event.payload).map_err(|error| event.unreadable(&error));
    }
    let payload = serde_json::from_slice(&event.payload).map_err(|error| event.unreadable(&error))?;
    let mut current = SerializedEvent {
        aggregate_id: event.stream.id.to_string(),
        sequence: usize::try_from(event.version).unwrap_or(usize::MAX),
        aggregate_type: event.stream.category.to_string(),
        event_type: event.type_name.to_string(),
        event_version: version,
        payload,
        metadata: serde_json::Value::Null,
    };
    for upcaster in upcasters.iter() {
        if upcaster.can_upcast(&current.event_type, &current.event_version) {
            current = upcaster.upcast(current);
        }
    }
    serde_json::from_value(current.payload).map_err(|error| event.unreadable(&error))
}

fn upcasters_of<E: StoredEvent>() -> Upcasters {
    UPCASTERS
        .with_borrow_mut(|known| Rc::clone(known.entry(TypeId::of::<E>()).or_insert_with(|| E::upcasters().into())))
}
