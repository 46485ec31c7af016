//! `AdmissionConfiguration`, the file of `--admission-control-config-file`: settings of plugins, in the
//! file itself or in files that it names.

use std::path::{Path, PathBuf};

use api::object::ObjectExt as _;
use serde_json::Value;
use world::Disk;

/// See the module.
#[derive(Debug)]
pub(super) struct AdmissionConfiguration {
    disk: Disk,
    directory: PathBuf,
    plugins: Vec<Value>,
}

impl AdmissionConfiguration {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is of another kind.
    pub(super) fn load(disk: &Disk, file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let text = disk.read_to_string(file);
        let text = text
            .map_err(|e| format!("unable to read admission control configuration from \"{shown}\" [{e}]"))?;
        let value = parse(&text)?;
        let known = ["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];
        if value.kind() != "AdmissionConfiguration" || !known.contains(&value.api_version()) {
            return Err(format!(
                "no kind {:?} is registered for version {:?}; give an AdmissionConfiguration of {}",
                value.kind(),
                value.api_version(),
                known.join(" or ")
            ));
        }
        Ok(Self {
            disk: disk.clone(),
            directory: file.parent().map(Path::to_owned).unwrap_or_default(),
            plugins: value.list_at("/plugins").to_vec(),
        })
    }

    /// What it says for a plugin.
    ///
    /// # Errors
    /// The file that it names for it cannot be read.
    pub(super) fn plugin(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(plugin) = self.plugins.iter().find(|plugin| plugin.str_at("/name") == name) else {
            return Ok(None);
        };
        if let Some(configuration) = plugin.at("/configuration").filter(|c| c.is_object()) {
            return Ok(Some(configuration.clone()));
        }
        let path = plugin.str_at("/path");
        if path.is_empty() {
            return Ok(None);
        }
        // A relative path begins where this file is.
        let path = self.directory.join(path);
        let text = self.disk.read_to_string(&path);
        let text = text.map_err(|e| {
            format!("unable to read admission control configuration from \"{}\" [{e}]", path.display())
        })?;
        parse(&text).map(Some)
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|e| {
        // It draws the place of an error on further lines.
        e.to_string().lines().next().unwrap_or_default().to_owned()
    })
}
