//! `guildhall import`: what another system kept.

mod civicrm;
mod postgres_es;

pub(crate) use self::{
    civicrm::{civicrm, described, options, send},
    postgres_es::postgres_es,
};
