//! The fragment cache (placeholder until it lands).
