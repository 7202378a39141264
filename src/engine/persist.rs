//! Making the workers, and the file that lets flows outlive the program.
//!
//! The slab of every worker lies in one file (on a tmpfs), behind a header that says for which boot, which uplinks and
//! which layout it was written. At the start the flows of an earlier run are read from it, the file is laid out anew, and
//! each flow is given to the worker that owns its port now, with the very mapping that it had. So the number of workers and the
//! order of uplinks may change between runs; flows of a line that is gone, or has another address, are left behind. Of a line
//! that gets its address only later the file says which one its flows have ([`FlowAddresses`]).

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::accounts::{Accounts, Opener};
use super::shortcut::Shortcuts;
use super::shortcut::table::ShortcutTable;
use super::worker::{Parts, Settings, Worker};
use crate::flow::hash::HashKey;
use crate::flow::record::{FLAG_FORWARDED, FLAG_SHORTCUT, FLAG_TRANSFER, MARK_STICKY, Tick};
use crate::flow::{FlowTable, FlowV4, TcpState, Timestamp};
use crate::nat::ports::is_reserved;
use crate::nat::{Mapping, Mappings, PortSlice};
use crate::placement::{Affinity, Bulky, Load, MAX_UPLINKS, UplinkId, WorkerId, owner_of_port};
use crate::sys::mapped::{MappedFile, REGION_ALIGNMENT, Region};
use crate::sys::slab::Slab;

/// "potatoes", and the layout's version.
const MAGIC: u64 = u64::from_be_bytes(*b"potatoes");
const LAYOUT: u32 = 3;

/// What makes an uplink the same one in the next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkIdentity {
    /// Its name in the configuration.
    pub name: String,
    /// Its address; `None`: it gets one later, and may get the one that its flows have.
    pub external: Option<Ipv4Addr>,
}

/// What the workers are made from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The file that holds the flows; `None`: flows end with the program.
    pub file: Option<PathBuf>,
    /// Identifies the machine's boot: timestamps of another boot mean nothing.
    pub boot_id: [u8; 16],
    /// How many workers.
    pub workers: u8,
    /// Most flows of all workers together.
    pub flows: usize,
    /// The uplinks, in the order of their ids.
    pub uplinks: Vec<UplinkIdentity>,
    /// 32 random bytes: every hash key and changed port derives from them.
    pub seed: [u8; 32],
    /// What the operator has set.
    pub settings: Settings,
    /// Where flows that the kernel may carry are written; `None`: it carries none.
    pub shortcut: Option<ShortcutTable>,
}

/// The workers cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file with the flows cannot be made or mapped.
    #[error("cannot keep flows in {path}: {source}; the run_dir must be writable and have room for {bytes} bytes")]
    File {
        /// The file.
        path: PathBuf,
        /// Bytes wanted.
        bytes: usize,
        /// What the system said.
        source: io::Error,
    },
    /// There is no memory for the flow table.
    #[error("no memory for {flows} flows ({bytes} bytes): {source}; set [router] flows lower")]
    Memory {
        /// Flows wanted.
        flows: usize,
        /// Bytes wanted.
        bytes: usize,
        /// What the system said.
        source: io::Error,
    },
    /// No workers, no flows, or more uplinks than fit.
    #[error("an engine needs at least one worker and one flow, and has at most {MAX_UPLINKS} uplinks")]
    Bounds,
}

/// The file's header: one cache line, then the uplinks.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: u64,
    layout: u32,
    record_size: u32,
    boot_id: [u8; 16],
    region_length: u64,
    workers: u64,
    reserved: [u64; 2],
    /// Of each uplink, what its name comes to; 0 where there is none.
    names: [u64; MAX_UPLINKS],
    /// The address that its flows have; zero where it has never had one.
    addresses: [[u8; 4]; MAX_UPLINKS],
}

const HEADER_LENGTH: usize = size_of::<Header>();
const _: () = assert!(HEADER_LENGTH.is_multiple_of(REGION_ALIGNMENT), "slabs start on a cache line");

/// A number that stands for an uplink's name.
fn fingerprint(uplink: &UplinkIdentity) -> u64 {
    let key = HashKey::new(u128::from(MAGIC) << 64 | 0x9e37_79b9_7f4a_7c15);
    let start = key.hash(0, uplink.name.len() as u64);
    uplink.name.bytes().fold(start, |hash, byte| key.hash(hash, byte.into()))
}

/// The address that the flows of each uplink have, kept in the file with them.
///
/// Flows never change their address: before an uplink gets another one, whoever sets it here has them forgotten
/// ([`Worker::forget_flows`]).
#[derive(Debug)]
pub struct FlowAddresses {
    addresses: [Option<Ipv4Addr>; MAX_UPLINKS],
    /// The file's header, where there is a file.
    header: Option<Region>,
}

impl FlowAddresses {
    /// The address that an uplink's flows have; `None`: it has never had one, and no flows.
    #[must_use]
    pub fn of(&self, uplink: UplinkId) -> Option<Ipv4Addr> {
        self.addresses[uplink.index()]
    }

    /// From now on a place in the snapshot is this uplink's, or nobody's. It has no flows yet.
    pub fn set_uplink(&mut self, uplink: UplinkId, identity: Option<&UplinkIdentity>) {
        let address = identity.and_then(|identity| identity.external);
        self.addresses[uplink.index()] = address;
        if let Some(header) = self.header.as_mut().and_then(|region| region.as_slice_mut::<Header>().first_mut()) {
            header.names[uplink.index()] = identity.map_or(0, fingerprint);
            header.addresses[uplink.index()] = address.map_or([0; 4], |address| address.octets());
        }
    }

    /// From now on, an uplink's flows have this address.
    pub fn set(&mut self, uplink: UplinkId, address: Ipv4Addr) {
        self.addresses[uplink.index()] = Some(address);
        if let Some(header) = self.header.as_mut().and_then(|region| region.as_slice_mut::<Header>().first_mut()) {
            header.addresses[uplink.index()] = address.octets();
        }
    }
}

/// Makes the workers, with the flows of an earlier run where there are any. `now` tells which of those still live.
///
/// # Errors
/// When the file or the memory cannot be had.
pub fn open(config: &EngineConfig, now: Timestamp) -> Result<Vec<Worker>, EngineError> {
    open_with_addresses(config, now).map(|(workers, _)| workers)
}

/// As [`open`], and gives the addresses that the flows have: for uplinks that get theirs later.
///
/// # Errors
/// When the file or the memory cannot be had.
pub fn open_with_addresses(config: &EngineConfig, now: Timestamp) -> Result<(Vec<Worker>, FlowAddresses), EngineError> {
    if config.workers == 0 || config.flows == 0 || config.uplinks.len() > MAX_UPLINKS {
        return Err(EngineError::Bounds);
    }
    let mut addresses = [None; MAX_UPLINKS];
    for (address, uplink) in addresses.iter_mut().zip(&config.uplinks) {
        *address = uplink.external;
    }
    let path = config.file.as_deref();
    let mut survivors = path.map_or_else(Vec::new, |path| read_flows(path, config, now, &mut addresses));
    let per_worker = config.flows.div_ceil(config.workers.into());
    let region_length = Slab::<FlowV4>::region_length(per_worker);
    let (header, regions) = map_regions(config, region_length, &addresses)?;
    let memory = |source| EngineError::Memory { flows: config.flows, bytes: Accounts::bytes(), source };
    let accounts = Arc::new(Accounts::new(config.workers).map_err(memory)?);
    let mut random = ChaCha8Rng::from_seed(config.seed);
    let shared = Shared {
        load: Arc::default(),
        accounts,
        affinity: Arc::new(Affinity::new(hash_key(&mut random))),
        bulky: Arc::new(Bulky::new(hash_key(&mut random))),
    };
    let mut workers: Vec<Worker> = (0..config.workers)
        .map(WorkerId)
        .zip(regions)
        .map(|(id, region)| make_worker(config, id, Slab::new(region), &shared, &mut random))
        .collect();
    // A host's flows to a site go on where the newest of them went.
    survivors.sort_by_key(|record| record.body.created);
    for record in survivors {
        let owner = owner_of_port(record.body.internal_port, config.workers);
        workers[owner.index()].adopt(now, record);
    }
    Ok((workers, FlowAddresses { addresses, header }))
}

/// What all workers share.
struct Shared {
    load: Arc<Load>,
    accounts: Arc<Accounts>,
    affinity: Arc<Affinity>,
    bulky: Arc<Bulky>,
}

fn hash_key(random: &mut ChaCha8Rng) -> HashKey {
    HashKey::new(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
}

fn make_worker(
    config: &EngineConfig,
    id: WorkerId,
    slab: Slab<FlowV4>,
    shared: &Shared,
    random: &mut ChaCha8Rng,
) -> Worker {
    let (flow_key, mapping_key) = (hash_key(random), hash_key(random));
    let slice = PortSlice::new(id, config.workers);
    let own_random = ChaCha8Rng::from_rng(random);
    Worker::new(Parts {
        id,
        workers: config.workers,
        settings: config.settings,
        table: FlowTable::new(slab, flow_key),
        mappings: Mappings::new(slice, config.uplinks.len(), mapping_key, own_random)
            .counted_in(shared.accounts.ports()),
        load: Arc::clone(&shared.load),
        accounts: Arc::clone(&shared.accounts),
        affinity: Arc::clone(&shared.affinity),
        bulky: Arc::clone(&shared.bulky),
        shortcuts: config.shortcut.clone().map(Shortcuts::new),
    })
}

/// The header, where there is a file, and a region for each worker, all zeros.
fn map_regions(
    config: &EngineConfig,
    region_length: usize,
    addresses: &[Option<Ipv4Addr>; MAX_UPLINKS],
) -> Result<(Option<Region>, Vec<Region>), EngineError> {
    let lengths = vec![region_length; config.workers.into()];
    let slabs = region_length * lengths.len();
    let Some(path) = &config.file else {
        let memory = |source| EngineError::Memory { flows: config.flows, bytes: slabs, source };
        let regions = MappedFile::anonymous(slabs).and_then(|mapped| mapped.split(&lengths)).map_err(memory)?;
        return Ok((None, regions));
    };
    let bytes = HEADER_LENGTH + slabs;
    let failed = |source| EngineError::File { path: path.clone(), bytes, source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut mapped = MappedFile::open(path, bytes).map_err(failed)?;
    // A page of a full tmpfs cannot be written, and the attempt would end the program.
    mapped.reserve().map_err(failed)?;
    let mut header = Header {
        magic: MAGIC,
        layout: LAYOUT,
        record_size: size_of::<FlowV4>() as u32,
        boot_id: config.boot_id,
        region_length: region_length as u64,
        workers: config.workers.into(),
        reserved: [0; 2],
        names: [0; MAX_UPLINKS],
        addresses: addresses.map(|address| address.map_or([0; 4], |address| address.octets())),
    };
    for (place, uplink) in header.names.iter_mut().zip(&config.uplinks) {
        *place = fingerprint(uplink);
    }
    mapped.bytes_mut()[..HEADER_LENGTH].copy_from_slice(header.as_bytes());
    let mut cuts = vec![HEADER_LENGTH];
    cuts.extend(lengths);
    let mut regions = mapped.split(&cuts).map_err(failed)?;
    let header = regions.remove(0);
    Ok((Some(header), regions))
}

/// The flows of an earlier run that can go on, and into `addresses` those that they have, where none is known. A file that
/// is not there, or is not of this boot and layout, has none.
fn read_flows(
    path: &Path,
    config: &EngineConfig,
    now: Timestamp,
    addresses: &mut [Option<Ipv4Addr>; MAX_UPLINKS],
) -> Vec<FlowV4> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let Some(header) = read_record::<Header>(&mut reader) else { return Vec::new() };
    let is_ours = header.magic == MAGIC
        && header.layout == LAYOUT
        && header.record_size as usize == size_of::<FlowV4>()
        && header.boot_id == config.boot_id;
    if !is_ours {
        return Vec::new();
    }
    // Where each uplink of then is now, if it is the same one.
    let mut uplinks_now = [None; MAX_UPLINKS];
    for (old, (name, address)) in header.names.iter().zip(header.addresses).enumerate() {
        let address = Ipv4Addr::from(address);
        let found = config.uplinks.iter().position(|uplink| fingerprint(uplink) == *name);
        if let Some(at) = found.filter(|_| *name != 0 && !address.is_unspecified())
            && *addresses[at].get_or_insert(address) == address
        {
            uplinks_now[old] = u8::try_from(at).ok();
        }
    }
    let uplink_now = |old: u8| uplinks_now.get(usize::from(old)).copied().flatten();
    let mut flows = Vec::new();
    let Ok(region_length) = usize::try_from(header.region_length) else { return flows };
    for _ in 0..header.workers {
        let records = region_length / size_of::<FlowV4>();
        for _ in 0..records {
            let Some(mut record) = read_record::<FlowV4>(&mut reader) else { return flows };
            if record.key().is_some()
                && record.body.expires > Tick::at(now)
                && let Some(uplink) = uplink_now(record.body.uplink)
            {
                record.body.uplink = uplink;
                flows.push(record);
            }
        }
        let padding = (region_length - records * size_of::<FlowV4>()) as u64;
        if io::copy(&mut reader.by_ref().take(padding), &mut io::sink()).is_err() {
            return flows;
        }
    }
    flows
}

/// The next record of a file; `None` at its end, or when it cannot be read.
fn read_record<T: FromBytes + IntoBytes>(reader: &mut impl Read) -> Option<T> {
    let mut record = T::new_zeroed();
    reader.read_exact(record.as_mut_bytes()).ok()?;
    Some(record)
}

impl Worker {
    /// Takes over a flow of an earlier run. One whose port somebody else has by now, or that stands twice, is left out.
    fn adopt(&mut self, now: Timestamp, mut record: FlowV4) {
        if record.has(FLAG_SHORTCUT) {
            // That run was killed: what the kernel forwarded for it last, nobody wrote down.
            record.body.flags &= !FLAG_SHORTCUT;
            record.body.tcp.forget_windows();
        }
        // That run's numbers of rules are not this one's.
        record.body.rule = 0;
        // It counts again when it goes on.
        record.body.flags &= !FLAG_TRANSFER;
        let is_sticky = record.is_marked(MARK_STICKY);
        record.body.marks &= !MARK_STICKY;
        let Some(key) = record.key() else { return };
        let (uplink, external_port) = (UplinkId(record.body.uplink), record.body.external_port);
        let mapping = Mapping { protocol: key.protocol, uplink, external_port };
        // The owner of a forward's flow is that of the port inside.
        let is_forwarded = record.has(FLAG_FORWARDED);
        // Whom we have told, we need not tell again: its host has had the time of a restart to ask.
        let is_over = record.body.tcp.state() == TcpState::Aborted;
        // A port that a host had is the router's own by now: its flow ends.
        let is_ours = !is_over
            && mapping.uplink.index() < MAX_UPLINKS
            && !is_reserved(mapping.external_port)
            && (is_forwarded || owner_of_port(mapping.external_port, self.workers) == self.id)
            && self.table.find(&key).is_none();
        if is_ours && (is_forwarded || self.mappings.restore(mapping, key.internal)) {
            // Numbers of hosts are of one run. What it has, it may have.
            record.body.host = self.accounts.admit(now, key.internal.address, Opener::Router).unwrap_or_default().0;
            // A full table leaves the rest behind; the flow's next packet is then its first.
            if let Ok(id) = self.add_flow(record, mapping)
                && is_sticky
            {
                self.join_site(now, id);
            }
        }
    }
}
