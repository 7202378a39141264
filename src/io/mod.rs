//! Ports that move batches of packets, and the worker threads between them.
