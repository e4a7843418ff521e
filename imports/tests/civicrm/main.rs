//! Reading exports: a small one of our own making, and what can be wrong with one.

#[cfg(test)]
mod clean;
#[cfg(test)]
mod dirty;
#[cfg(test)]
mod export;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod statuses;
