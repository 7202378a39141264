//! Addresses and ports: mappings, their ports, and the rewriting of packets (RFC 4787, 5382, 5508, 7857).
