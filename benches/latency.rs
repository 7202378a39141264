//! How long the engine takes for one packet, as a distribution: `cargo bench --bench latency`. Every packet is timed by
//! itself, in a batch of one, so reading the clock (first line) is part of every number.

mod traffic;

use hdrhistogram::Histogram;
use potato::flow::Protocol;
use potato::sys::clock;
use traffic::{SIZES, Traffic, Way};

const PACKETS: usize = 200_000;
const LONGEST_NANOSECONDS: u64 = 1_000_000_000;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NANOSECONDS, 3).expect("bounds in order")
}

fn record(histogram: &mut Histogram<u64>, spent: std::time::Duration) {
    let nanoseconds = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
    histogram.saturating_record(nanoseconds.clamp(1, LONGEST_NANOSECONDS));
}

fn report(name: &str, histogram: &Histogram<u64>) {
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!("{name:<28} {:>8} {:>8} {:>8} {:>8} {:>8}", at(0.5), at(0.9), at(0.99), at(0.999), histogram.max());
}

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (packets, sizes) = if is_bench { (PACKETS, &SIZES[..]) } else { (100, &SIZES[..1]) };
    println!("{:<28} {:>8} {:>8} {:>8} {:>8} {:>8}", "nanoseconds a packet", "p50", "p90", "p99", "p99.9", "max");
    let mut empty = histogram();
    for _ in 0..packets {
        let start = clock::monotonic();
        record(&mut empty, clock::monotonic() - start);
    }
    report("reading the clock", &empty);
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for &(size, flows) in sizes {
            let mut traffic = Traffic::new(protocol, flows);
            for (direction, way) in [("outbound", Way::Outbound), ("inbound", Way::Inbound)] {
                let mut histogram = histogram();
                for _ in 0..packets / 20 {
                    traffic.pass(way, 1);
                }
                for _ in 0..packets {
                    record(&mut histogram, traffic.pass(way, 1));
                }
                report(&format!("{direction}/{protocol}/{size}"), &histogram);
            }
        }
    }
}
