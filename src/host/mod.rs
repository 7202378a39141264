//! The machine: links, routes, rules, sysctls, offloads, and the journal that undoes what the router changed.
