//! Work that ends: Jobs, the CronJobs that start them, and what removes them afterwards.

mod cron;
mod indexes;
mod job;
mod policy;
mod rules;
mod schedule;
mod ttl;

use client::Resource;

pub(crate) use cron::run as cron_jobs;
pub(crate) use job::run as jobs;
pub(crate) use ttl::run as ttl_after_finished;

const JOBS: Resource = Resource::new("batch", "v1", "jobs");
const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");
