//! Promise 5: history cannot be altered unseen. An attacker who may do anything in the database, and who may even be the
//! operator and sign, is seen by an auditor who kept checkpoints.

mod attack;
mod bundles;
mod damage;
mod forgery;
mod history;
mod verifier;
