//! What is valid until when: certificates by their serial number, and tokens.

use std::collections::BTreeMap;

use world::{Event, Wall};

use super::{
    lanes::Lanes,
    schema::Bar,
    weave::{field, micros},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Bars {
    start: Wall,
    bars: Vec<Bar>,
    by_serial: BTreeMap<String, usize>,
}

impl Bars {
    /// For a world that began at `start`.
    pub(super) fn new(start: Wall) -> Self {
        Self { start, bars: Vec::new(), by_serial: BTreeMap::new() }
    }

    /// Takes in the event of number `at`, in `lane` at time `t`.
    pub(super) fn see(&mut self, lanes: &Lanes, at: usize, t: i64, lane: usize, event: &Event) {
        match event.kind {
            "certificate" => self.certificate(lanes, at, lane, event),
            "handshake" => self.shown(at, t, event),
            "token" => self.token(at, t, lane, event),
            _ => {}
        }
    }

    fn instant(&self, text: &str) -> Option<i64> {
        Some(micros(self.start, text.parse().ok()?))
    }

    /// Its issuer tells of a certificate first, and its holder later: the bar is the holder's.
    fn certificate(&mut self, lanes: &Lanes, at: usize, lane: usize, event: &Event) {
        let serial = field(event, "serial");
        let (Some(from), Some(to)) =
            (self.instant(field(event, "not_before")), self.instant(field(event, "not_after")))
        else {
            return;
        };
        let label = certificate_label(event).to_owned();
        let bar = Bar {
            kind: "certificate",
            lane,
            label,
            serial: serial.to_owned(),
            from,
            to: Some(to),
            event: at,
            late: Vec::new(),
        };
        match self.by_serial.get(serial) {
            Some(known) => {
                // Read again, by the same program or another: the first holder keeps it.
                let issued = lanes.actor(self.bars[*known].lane) == "kube-controller-manager";
                if issued && self.bars[*known].lane != lane {
                    self.bars[*known] = Bar { late: std::mem::take(&mut self.bars[*known].late), ..bar };
                }
            }
            None => {
                self.by_serial.insert(serial.to_owned(), self.bars.len());
                self.bars.push(bar);
            }
        }
    }

    /// A certificate that was shown and accepted.
    fn shown(&mut self, at: usize, t: i64, event: &Event) {
        let known = self.by_serial.get(field(event, "serial")).copied();
        let Some(bar) = known.and_then(|known| self.bars.get_mut(known)) else { return };
        if field(event, "result") == "ok" && bar.to.is_some_and(|to| t > to) {
            bar.late.push(at);
        }
    }

    fn token(&mut self, at: usize, t: i64, lane: usize, event: &Event) {
        let until = field(event, "until");
        if until.is_empty() {
            return;
        }
        let name = ["pod", "secret", "account"].map(|key| field(event, key));
        let label = name.into_iter().find(|name| !name.is_empty()).unwrap_or("token").to_owned();
        let to = self.instant(until);
        let (serial, late) = (String::new(), Vec::new());
        self.bars.push(Bar { kind: "token", lane, label, serial, from: t, to, event: at, late });
    }

    /// All bars, in the order in which they were told of.
    pub(super) fn done(self) -> Vec<Bar> {
        self.bars
    }
}

/// What a certificate is called by who keeps it: kubeadm's file, a signer's short name, else its subject without the
/// instant that an apiserver writes behind the name of its loopback certificate.
fn certificate_label(event: &Event) -> &str {
    let (file, signer, cn) = (field(event, "file"), field(event, "signer"), field(event, "cn"));
    match (file, signer) {
        ("", "") => cn.split_once('@').map_or(cn, |(name, _)| name),
        ("", signer) => signer.rsplit('/').next().unwrap_or(signer),
        (file, _) => file,
    }
}
