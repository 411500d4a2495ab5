//! The core, tested through what it exports: one file an idea.

mod adaptive;
mod analytic;
mod ascent;
mod autoneb;
mod common;
mod critical;
mod curve_training;
mod gaussian;
mod geometry;
mod graph_loader;
mod grid;
mod interpolation;
mod lanczos;
mod langevin;
mod layering;
mod normalise;
mod resumed;
mod simplex_training;
mod subset;
mod topology;
mod trace;
mod vector;
mod walk;
