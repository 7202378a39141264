//! The core's operations, each at three sizes: `cargo bench --bench core`. One worker, one thread, no I/O.

mod traffic;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use potato::flow::hash::HashKey;
use potato::flow::{EndpointV4, FlowTable, FlowV4, Protocol};
use potato::nat::translate::{Transport, replace_endpoint};
use potato::sys::clock;
use potato::sys::slab::Slab;
use potato::wire::{AddressField, Checksum};
use traffic::{BATCH, NewFlows, SIZES, Traffic, Way, key, world};

const STRIDE: usize = 611_953;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group
}

fn table(flows: usize) -> FlowTable {
    let slab = Slab::zeroed(flows + BATCH).expect("memory for the flows");
    let mut table = FlowTable::new(slab, HashKey::new(0x0123_4567_89ab_cdef_0011_2233_4455_6677));
    for number in 0..flows {
        table.insert(FlowV4::new(key(Protocol::Udp, number)));
    }
    table
}

fn conntrack_lookup(criterion: &mut Criterion) {
    for (name, flows) in SIZES {
        let table = table(flows);
        for (kind, protocol) in [("hit", Protocol::Udp), ("miss", Protocol::Tcp)] {
            let mut number = 0;
            group(criterion, &format!("conntrack_lookup/{kind}")).bench_function(name, |bencher| {
                bencher.iter(|| {
                    number = (number + STRIDE) % flows;
                    table.find(black_box(&key(protocol, number)))
                });
            });
        }
    }
}

fn conntrack_insert(criterion: &mut Criterion) {
    for (name, flows) in SIZES {
        let mut table = table(flows);
        let mut first = 0;
        group(criterion, "conntrack_insert").bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let (mut spent, mut left) = (Duration::ZERO, count);
                while left > 0 {
                    let size = left.min(BATCH as u64);
                    first = (first + STRIDE) % flows;
                    let record = |number| FlowV4::new(key(Protocol::Tcp, (first + number * STRIDE) % flows));
                    let new: Vec<FlowV4> = (0..size as usize).map(record).collect();
                    let start = clock::monotonic();
                    let ids: Vec<_> = new.iter().filter_map(|&record| table.insert(record)).collect();
                    spent += clock::monotonic() - start;
                    for id in ids {
                        table.remove(id);
                    }
                    left -= size;
                }
                spent
            });
        });
    }
}

fn translate(criterion: &mut Criterion) {
    for (name, protocol) in [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)] {
        let (host, far) = ((world::host(0), 40_000), (world::remote(0), 443));
        let mut packet = world::datagram(protocol, host, far, 64, &[0; 1_400]);
        let ends = [host, (world::external(0), 51_111)].map(|(address, port)| EndpointV4 { address, port });
        let mut turn = 0;
        group(criterion, "translate").bench_function(name, |bencher| {
            bencher.iter(|| {
                let (old, new) = (ends[turn & 1], ends[(turn + 1) & 1]);
                turn += 1;
                let complete = Transport::Present(Checksum::Complete);
                let change = (old.address, new);
                replace_endpoint(black_box(&mut packet), 20, protocol, AddressField::Source, change, complete);
            });
        });
    }
}

fn engine(criterion: &mut Criterion) {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for (name, flows) in SIZES {
            let mut traffic = Traffic::new(protocol, flows);
            for (direction, way) in [("outbound", Way::Outbound), ("inbound", Way::Inbound)] {
                group(criterion, &format!("{direction}/{protocol}")).bench_function(name, |bencher| {
                    bencher.iter_custom(|count| {
                        let (mut spent, mut left) = (Duration::ZERO, count);
                        while left > 0 {
                            let size = left.min(BATCH as u64);
                            spent += traffic.pass(way, size as usize);
                            left -= size;
                        }
                        spent
                    });
                });
            }
        }
    }
}

fn new_flow(criterion: &mut Criterion) {
    let mut flows = NewFlows::new();
    group(criterion, "new_flow").bench_function("tcp/6_lines", |bencher| {
        bencher.iter_custom(|count| {
            let sizes = (0..count).step_by(BATCH).map(|done| (count - done).min(BATCH as u64));
            sizes.map(|size| flows.open(size as usize)).sum()
        });
    });
}

criterion_group!(benches, conntrack_lookup, conntrack_insert, translate, engine, new_flow);
criterion_main!(benches);
