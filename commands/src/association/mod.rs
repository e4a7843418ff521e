//! Commands to an association itself.

mod change_status_rules;
mod found_association;
mod rename_association;

use guildhall_aggregates::association::AssociationRefusal;
use guildhall_web::Kind;

use crate::{endpoint::Refusal, registry::CommandType};

pub(crate) fn all() -> Vec<CommandType> {
    vec![
        CommandType::of::<found_association::FoundAssociation>(),
        CommandType::of::<rename_association::RenameAssociation>(),
        CommandType::of::<change_status_rules::ChangeStatusRules>(),
    ]
}

impl Refusal for AssociationRefusal {
    fn kind(&self) -> Kind {
        let word = self.into();
        match self {
            Self::AssociationUnknown => Kind::absent(word),
            Self::AssociationAlreadyFounded => Kind::refused(word),
            Self::NameMissing | Self::SlugInvalid | Self::StatusRulesMissing | Self::TooManyStatusRules { .. } => {
                Kind::invalid(word)
            }
        }
    }
}
