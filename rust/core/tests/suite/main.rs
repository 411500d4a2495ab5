//! The core, tested through what it exports: one file an idea.

mod analytic;
mod autoneb;
mod bending;
mod common;
mod critical;
mod gaussian;
mod graph_loader;
mod grid;
mod lanczos;
mod layering;
mod normalise;
mod simplices;
mod trace;
mod vector;
mod walk;
