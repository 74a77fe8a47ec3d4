//! recorder
pub mod sys;
pub mod clock;
pub mod procfile;
