//! What the hot loops are made of.
