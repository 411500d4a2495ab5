//! The core, tested through what it exports: one file an idea.

mod analytic;
mod ascent;
mod autoneb;
mod common;
mod critical;
mod curve_training;
mod gaussian;
mod graph_loader;
mod grid;
mod lanczos;
mod langevin;
mod layering;
mod normalise;
mod resumed;
mod simplex_training;
mod subset;
mod trace;
mod vector;
mod walk;
