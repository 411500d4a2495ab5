//! What tests of all losses share.
