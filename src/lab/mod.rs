//! The embedded lab: real processes on loopback that behave as a TiKV cluster does.
