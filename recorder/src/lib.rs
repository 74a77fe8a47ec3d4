//! recorder
pub mod sys;
