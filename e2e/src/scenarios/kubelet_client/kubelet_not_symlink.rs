//! kubelet-not-symlink: what lies at kubelet-client-current.pem is no link to a whole pair.
//!
//! kubernetes/kubernetes#53037 made the kubelet judge its files at its start, after nodes with expired and with
//! damaged ones. Two such files are told here.
//!
//! A regular file in the link's place (a backup that was copied back without links) starts well and is used. Rotation
//! fails at its last step: the new certificate is issued and cannot be put in place, every 32 seconds, one request
//! after the other, until the old certificate is over. A truncated file (power cut: releases before 1.33 do not sync
//! it) sends the kubelet to its bootstrap kubeconfig. Up to 1.13 a bootstrap mends the files; from 1.14 on the
//! certificate manager reads them first and refuses, whatever the kubelet could bootstrap with.

use chronoplane::ClusterOptions;
use world::FileKind;

use super::{
    BOOTSTRAP, CURRENT, DAY, HOUR, MINUTE, NO_BOOTSTRAP, NODE, asked, bootstrap_file, clock, current, end,
    exits, known, mark, ready, remove, restart, said, until_rotated, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-not-symlink",
    sentence: "kubelet-client-current.pem is a copy instead of a link, or cut short: rotation fails, or the kubelet does not start.",
    reference: "kubernetes/kubernetes#53037",
    symptoms: &[
        "Unable to store the new cert/key pair: expected \"/var/lib/kubelet/pki/kubelet-client-current.pem\" to be a symlink but it is a file",
        "tls: failed to find any PEM data in certificate input",
    ],
    range: (11, 36),
    tell,
    real: InReal::Not("needs to elapse: a rotation fails every 32 seconds until its certificate ends"),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    copied(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, the link kept", || copied(settings, teller, false))?;
    truncated(settings, teller)?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: ls -l the file. If it is no link, move it to kubelet-client-<date>.pem and link to that;",
            "if it is cut short, remove it and link to a whole one, or remove all of them, give the node a bootstrap",
            "kubeconfig with a new token, and restart the kubelet.",
        ],
    );
    Ok(())
}

fn copied(settings: &Settings, teller: &Teller, copy: bool) -> Result<(), StoryError> {
    // So short that the retries are dozens.
    let options = ClusterOptions { nodes: 1, signing_duration: Some(HOUR), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let host = stage.host(NODE);
        if !host.disk().exists(CURRENT) {
            until_rotated(stage, NODE, HOUR).await?;
        }
        if copy {
            let text = host.disk().read(CURRENT).map_err(StoryError::new)?;
            remove(stage, NODE, CURRENT)?;
            host.disk().write(CURRENT, text, 0o600).map_err(StoryError::new)?;
        }
        let since = mark(stage);
        restart(stage, NODE).await;
        let ends = current(stage, NODE)?.not_after();
        let kind = host.disk().stat(CURRENT).map(|stat| stat.kind);
        stage.say(format!(
            "{}: kubelet-client-current.pem is a {}, its certificate ends at {}.",
            clock(stage.now()),
            if kind == Some(FileKind::Symlink) { "link" } else { "file" },
            clock(ends)
        ));
        let had = known(stage, NODE).await.0;
        stage.check(
            "the kubelet starts with it",
            exits(stage, NODE, since).0 == 0 && had == 200,
            format!("{had} GET node {NODE}"),
        );
        let look = async || known(stage, NODE).await;
        let (before, after) = stage.edge("cp1", ends, look).await?;
        let words = "Unable to store the new cert/key pair: expected \"/var/lib/kubelet/pki/kubelet-client-current.pem\" to be a symlink but it is a file";
        let tries = stage.log(NODE, "kubelet", "csr").iter().filter(|line| line.contains(words)).count();
        let asked = asked(stage, NODE, since);
        if !copy {
            stage.check("it has rotated", before.0 == 200 && after.0 == 200, "");
            stage.check("with few requests", tries == 0 && asked <= 2, format!("{asked}"));
            return Ok(());
        }
        stage.check_words("since it rotates", said(stage, NODE, "csr", words), &[words]);
        stage.check(
            "again and again",
            tries > 5 && asked >= tries,
            format!("{tries} times, {asked} requests"),
        );
        stage.check("one second before the end", before.0 == 200, format!("{} GET node {NODE}", before.0));
        stage.check("one second after", after.0 == 401, format!("{} {}", after.0, after.1));
        upstream(stage, 7 * MINUTE).await;
        let lost = ready(stage, NODE).await;
        stage.check("seven minutes later", lost.starts_with("Unknown"), format!("Ready is {lost}"));
        if settings.profile.minor() < 11 {
            stage.check("its kubelet", true, "bootstraps into another file, and goes on with this one");
            return Ok(());
        }
        // Where the join left a bootstrap kubeconfig, its certificate cannot be put in place either.
        let last =
            if host.disk().exists(BOOTSTRAP) { "to be a symlink but it is a file" } else { NO_BOOTSTRAP };
        stage.check_words("its kubelet", exits(stage, NODE, since).1, &[last]);
        Ok(())
    })
}

fn truncated(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let host = stage.host(NODE);
        if !host.disk().exists(CURRENT) {
            until_rotated(stage, NODE, DAY).await?;
        }
        let file = host.disk().read_link(CURRENT).map_err(StoryError::new)?;
        stage.say(format!("\n{}: a power cut; the file behind the link is empty.", clock(stage.now())));
        let since = mark(stage);
        // Some releases leave what the join bootstrapped with.
        let _ = host.disk().remove(BOOTSTRAP);
        host.halt().await;
        host.disk().write(&file, "", 0o600).map_err(StoryError::new)?;
        host.boot();
        upstream(stage, MINUTE / 2).await;
        let words = "tls: failed to find any PEM data in certificate input";
        let refused = "could not convert data from \"/var/lib/kubelet/pki/kubelet-client-current.pem\" into cert/key pair:";
        if settings.profile.minor() < 11 {
            // Their kubeconfig names another file; the link is the certificate manager's alone.
            stage.check_words("the kubelet", exits(stage, NODE, since).1, &[refused, words]);
            remove(stage, NODE, CURRENT)?;
            restart(stage, NODE).await;
            stage.cluster.elapse(MINUTE).await;
            let state = ready(stage, NODE).await;
            stage.check("without the link", state == "True", state.clone());
            return Ok(());
        }
        stage.check_words("the kubelet, at its start", said(stage, NODE, "bootstrap", words), &[words]);
        stage.check_words("and then", exits(stage, NODE, since).1, &[NO_BOOTSTRAP]);
        bootstrap_file(stage, NODE, "24h").await?;
        restart(stage, NODE).await;
        stage.cluster.elapse(MINUTE).await;
        let state = ready(stage, NODE).await;
        if settings.profile.minor() < 14 {
            stage.check("with a bootstrap kubeconfig", state == "True", state.clone());
            return Ok(());
        }
        stage.check_words("with a bootstrap kubeconfig", exits(stage, NODE, since).1, &[refused, words]);
        remove(stage, NODE, CURRENT)?;
        restart(stage, NODE).await;
        stage.cluster.elapse(MINUTE).await;
        let state = ready(stage, NODE).await;
        stage.check("and without the link", state == "True", state.clone());
        Ok(())
    })
}
