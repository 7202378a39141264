//! What `/v1/history` is asked, and what it says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bucket::Bucket;
use super::rollup::Tier;

/// How far back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// An hour, by seconds.
    #[default]
    Hour,
    /// A day, by minutes.
    Day,
    /// 31 days, by ten minutes.
    Month,
    /// 366 days, by hours.
    Year,
}

impl Span {
    pub(super) const fn tier(self) -> Tier {
        match self {
            Self::Hour => Tier::Second,
            Self::Day => Tier::Minute,
            Self::Month => Tier::TenMinutes,
            Self::Year => Tier::Hour,
        }
    }
}

/// The query of `GET /v1/history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only this uplink; without it, all that anything is known of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// How far back; without it, an hour.
    #[serde(default)]
    #[param(inline)]
    pub span: Span,
    /// At most so many points of a line, 10 or more: then each is of a longer time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}

/// `GET /v1/history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryReport {
    /// How long a time each point is of.
    pub step_seconds: u64,
    /// Of the uplink that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<Vec<PointReport>>,
    /// By name, where none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplinks: Option<BTreeMap<String, Vec<PointReport>>>,
}

/// What a line did for the time of a step. Times of which nothing is known have no point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointReport {
    /// When that began: seconds since 1970.
    pub time: u64,
    /// Bits a second from the internet, in the mean.
    pub in_bps: u64,
    /// Bits a second to it.
    pub out_bps: u64,
    /// Loss of the router's own questions, in the mean; nothing: it is not known.
    pub loss_percent: Option<f64>,
    /// What answers to them took, in the mean; nothing: there were none.
    pub rtt_ms: Option<f64>,
    /// The state that the line was in for the longest, as in `status`; nothing: it is not known.
    pub state: Option<String>,
    /// The share of the time in which it worked (up or standby).
    pub working_percent: Option<f64>,
}

impl PointReport {
    pub(super) fn new(time: u64, bucket: &Bucket) -> Self {
        let tenths = |number: f64| (number * 10.0).round() / 10.0;
        let (in_bps, out_bps) = bucket.rates();
        Self {
            time,
            in_bps,
            out_bps,
            loss_percent: bucket.loss_percent().map(tenths),
            rtt_ms: bucket.round_trip_ms().map(tenths),
            state: bucket.state().map(|state| state.name().to_owned()),
            working_percent: bucket.working_percent().map(tenths),
        }
    }
}

/// The query of `GET /v1/history/hosts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HostDaysQuery {
    /// How many days, today among them, 31 at most; without it, 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// `GET /v1/history/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostDaysReport {
    /// The days on which hosts have used something, in their order.
    pub days: Vec<HostDayReport>,
}

/// What hosts have used on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostDayReport {
    /// The day by the router's clock: `2026-11-26`.
    pub day: String,
    /// The hosts, in the order of their addresses.
    pub hosts: Vec<HostUsageReport>,
}

/// What a host has used on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostUsageReport {
    /// Its address.
    pub address: String,
    /// Bytes of IP packets that were sent.
    pub out_bytes: u64,
    /// Bytes of IP packets that came back.
    pub in_bytes: u64,
}
