//! What can happen to the network between simulated hosts, and to their power.

use std::time::Duration;

use super::{Conditions, Resolution, Sim};

impl Sim {
    /// Resets (TCP RST) every open connection that was dialled from host `from` to `port` of host
    /// `to`, and returns how many there were.
    pub fn reset_connections(&self, from: &str, to: &str, port: u16) -> usize {
        let n = self.0.fabric.reset(from, to, port);
        let fields = vec![("reset", format!("{from}->{to}:{port}")), ("connections", n.to_string())];
        self.machine(from).host.record("network", fields);
        n
    }

    /// No packet passes between the two hosts until [`Sim::heal`]; open connections hang, and fail after a quarter of
    /// an hour with the time-out of who had something to say.
    pub fn cut(&self, a: &str, b: &str) {
        for (from, to) in [(a, b), (b, a)] {
            self.0.fabric.change_link(from, to, |link| link.set_cut(true));
        }
        self.machine(a).host.record("network", vec![("cut", format!("{a}|{b}"))]);
    }

    /// No packet of host `from` reaches host `to` until [`Sim::heal`]; those of `to` arrive, unacknowledged.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.0.fabric.change_link(from, to, |link| link.set_cut(true));
        self.machine(from).host.record("network", vec![("cut", format!("{from}->{to}"))]);
    }

    /// Ends [`Sim::cut`] and [`Sim::cut_one_way`]; what hung goes on at once.
    pub fn heal(&self, a: &str, b: &str) {
        for (from, to) in [(a, b), (b, a)] {
            self.0.fabric.change_link(from, to, |link| link.set_cut(false));
        }
        self.machine(a).host.record("network", vec![("heal", format!("{a}|{b}"))]);
    }

    /// From now on what host `from` sends travels to host `to` under `conditions`; what is under way is not touched.
    /// The default ends it.
    pub fn set_conditions(&self, from: &str, to: &str, conditions: Conditions) {
        self.0.fabric.change_link(from, to, |link| link.set_conditions(conditions));
        let mut fields = vec![("conditions", format!("{from}->{to}"))];
        let Conditions { latency, jitter, messages_per_second, loss_per_mille } = conditions;
        fields.push(("latency", format!("{latency:?}")));
        fields.push(("jitter", format!("{jitter:?}")));
        if let Some(rate) = messages_per_second {
            fields.push(("messages_per_second", rate.to_string()));
        }
        fields.push(("loss_per_mille", loss_per_mille.to_string()));
        self.machine(from).host.record("network", fields);
    }

    /// Something between the hosts, such as a balancer or a NAT gateway, forgets every open connection that was
    /// dialled from host `from` to `port` of host `to`: their packets vanish both ways, and nobody is told. New
    /// connections work. Returns how many there were.
    pub fn half_open(&self, from: &str, to: &str, port: u16) -> usize {
        let n = self.0.fabric.forget(from, to, port);
        let fields = vec![("half_open", format!("{from}->{to}:{port}")), ("connections", n.to_string())];
        self.machine(from).host.record("network", fields);
        n
    }

    /// From now on the resolver of host `on` says that of `name`. `None`: the truth again.
    pub fn resolve(&self, on: &str, name: &str, resolution: Option<Resolution>) {
        let word = match &resolution {
            None => "as it is".to_owned(),
            Some(Resolution::Host(host)) => host.clone(),
            Some(Resolution::Unknown) => "no such host".to_owned(),
            Some(Resolution::Silence) => "no answer".to_owned(),
        };
        self.0.fabric.resolve(on, name, resolution);
        self.machine(on).host.record("network", vec![("name", name.to_owned()), ("resolves", word)]);
    }

    /// Reboots one host, which takes `d`: every process ends, files stay, and the units start that were active.
    pub async fn reboot(&self, name: &str, d: Duration) {
        let machine = self.machine(name);
        machine.host.record("power", vec![("off", String::new())]);
        machine.host.halt().await;
        self.elapse(d).await;
        machine.host.record("power", vec![("on", String::new())]);
        machine.host.boot();
    }

    /// One host is without power for `d`: every process ends in the middle of what it does, its peers are told nothing
    /// (their connections are half-open, dials get no answer), and what was written in the last half minute and not
    /// synced is gone. Then the units start that were active, and who writes to a connection of before is told by a
    /// reset.
    pub async fn power_failure(&self, name: &str, d: Duration) {
        let machine = self.machine(name);
        machine.host.record("power", vec![("failure", String::new())]);
        self.0.fabric.power(name, false);
        machine.host.halt().await;
        machine.disk.power_failure();
        self.elapse(d).await;
        machine.host.record("power", vec![("on", String::new())]);
        self.0.fabric.power(name, true);
        machine.host.boot();
    }
}
