//! VENDOR: the calls of the interface, one function each. What is here is a stand-in that keeps a file for each machine.
//!
//! Each function sends one request and says what it saw: no retry, no wait, no second thought. Replace the bodies, keep
//! what they promise; over HTTP they go through `lease-http`, which sends once and knows the effect of every failure.

use std::io::ErrorKind::NotFound;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::fs;

use crate::error::SampleError;
use crate::labels::Labels;

/// A model that can be had.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) cores: u32,
    pub(crate) memory_gib: f64,
}

/// What there is, the cheapest first.
pub(crate) const MODELS: &[Model] = &[
    Model { name: "one", class: "tiny", cores: 1, memory_gib: 2.0 },
    Model { name: "four", class: "standard", cores: 4, memory_gib: 8.0 },
];

/// What the vendor is asked to make.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) name: &'a str,
    pub(crate) model: &'a str,
    pub(crate) public_key: &'a str,
    pub(crate) labels: Labels,
    /// Unique to this machine; the stand-in makes the id of it.
    pub(crate) key: &'a str,
}

/// A machine as the vendor shows it. Fields that are not known yet are no error: vendors add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) public_key: String,
    #[serde(default)]
    pub(crate) labels: Labels,
    /// Where it can be reached, once that is known; machines of the stand-in never can.
    #[serde(default)]
    pub(crate) address: Option<String>,
}

/// The vendor's interface.
#[derive(Debug)]
pub(crate) struct Vendor {
    endpoint: PathBuf,
}

impl Vendor {
    pub(crate) fn new(endpoint: PathBuf) -> Self {
        Self { endpoint }
    }

    /// What tells this account from every other; never the credential itself.
    pub(crate) async fn account(&self) -> Result<String, SampleError> {
        let name = fs::read_to_string(self.endpoint.join("account")).await?;
        Ok(name.trim().to_owned())
    }

    /// Makes one machine, with its labels, or refuses.
    pub(crate) async fn create(&self, order: Order<'_>) -> Result<Machine, SampleError> {
        if !MODELS.iter().any(|it| it.name == order.model) {
            return Err(SampleError::Refused(format!("there is no model {:?}", order.model)));
        }
        let machine = Machine {
            id: format!("m-{}", order.key),
            name: order.name.to_owned(),
            model: order.model.to_owned(),
            public_key: order.public_key.to_owned(),
            labels: order.labels,
            address: None,
        };
        let draft = self.machines().join(format!(".{}", machine.id));
        fs::write(&draft, serde_json::to_vec(&machine)?).await?;
        fs::rename(&draft, self.file(&machine.id)).await?;
        Ok(machine)
    }

    /// The machine with that id; `None` only if the vendor says that there is none.
    pub(crate) async fn machine(&self, id: &str) -> Result<Option<Machine>, SampleError> {
        match fs::read(self.file(id)).await {
            Ok(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
            Err(error) if error.kind() == NotFound => {
                // A directory that is away says nothing about what is in it.
                fs::metadata(self.machines()).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Every machine of the account; a list that may lack one is an error. VENDOR: follow the pages to their end.
    pub(crate) async fn list(&self) -> Result<Vec<Machine>, SampleError> {
        let mut found = Vec::new();
        let mut entries = fs::read_dir(self.machines()).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|it| it.strip_suffix(".json")) else { continue };
            // One that is deleted meanwhile need not be in the list.
            found.extend(self.machine(id).await?);
        }
        Ok(found)
    }

    /// Deletes the machine with that id; one that is gone already is success.
    pub(crate) async fn delete(&self, id: &str) -> Result<(), SampleError> {
        match fs::remove_file(self.file(id)).await {
            Err(error) if error.kind() != NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn machines(&self) -> PathBuf {
        self.endpoint.join("machines")
    }

    /// Where the stand-in keeps a machine; an id is opaque and must not lead elsewhere.
    fn file(&self, id: &str) -> PathBuf {
        self.machines().join(format!("{}.json", id.replace('/', "%")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_read_is_not_absent() {
        let directory = tempfile::tempdir().unwrap();
        let vendor = Vendor::new(directory.path().to_owned());
        vendor.machine("m-1").await.unwrap_err();
        std::fs::create_dir(vendor.machines()).unwrap();
        assert_eq!(vendor.machine("m-1").await.unwrap(), None);
        std::fs::write(vendor.file("m-1"), "{").unwrap();
        assert!(matches!(vendor.machine("m-1").await, Err(SampleError::Unreadable(_))));
        assert!(matches!(vendor.list().await, Err(SampleError::Unreadable(_))));
    }

    #[tokio::test]
    async fn what_the_vendor_does_not_sell_is_refused_before_anything_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let vendor = Vendor::new(directory.path().to_owned());
        std::fs::create_dir(vendor.machines()).unwrap();
        let (name, key) = ("lse", "k");
        let order = Order { name, model: "nine", public_key: "", labels: Labels::new(), key };
        assert!(matches!(vendor.create(order).await, Err(SampleError::Refused(_))));
        assert_eq!(vendor.list().await.unwrap(), []);
    }
}
