//! The kernel's own multi-WAN NAT with correct weights: a random line for each connection, in proportion to its rate.

use netns_tests::{Lab, LabError};

/// Sets the lab's router up for lines of these rates, in Mbit/s.
pub(crate) fn set_up(lab: &Lab, rates: &[u32]) -> Result<(), LabError> {
    let router = lab.router();
    let mut commands = Vec::new();
    let mut shares = Vec::new();
    let mut before = 0;
    for (line, rate) in (1..).zip(rates) {
        commands.push(format!("address add 10.77.{line}.2/24 dev wan{line}"));
        commands.push(format!("route add default via 10.77.{line}.1 dev wan{line} table {}", 100 + line));
        commands.push(format!("rule add fwmark {line} table {} priority {}", 100 + line, 1000 + line));
        shares.push(format!("{before}-{} : {line}", before + rate - 1));
        before += rate;
    }
    router.ip(&commands)?;
    router.sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/all/rp_filter", "0")])?;
    let names: Vec<_> = (1..=rates.len()).map(|line| format!("net/ipv4/conf/wan{line}/rp_filter")).collect();
    names.iter().try_for_each(|name| router.sysctl(&[(name, "0")]))?;
    let rules = format!(
        "add table ip multiwan; \
         add chain ip multiwan steer {{ type filter hook prerouting priority mangle; }}; \
         add rule ip multiwan steer iifname lan0 ct mark 0 ct mark set numgen random mod {before} map {{ {} }}; \
         add rule ip multiwan steer iifname lan0 meta mark set ct mark; \
         add chain ip multiwan translate {{ type nat hook postrouting priority srcnat; }}; \
         add rule ip multiwan translate oifname \"wan*\" masquerade",
        shares.join(", ")
    );
    router.exec("nft", &[&rules]).map(drop)
}
