//! What SOURCE names, and the images in it. One image is loaded at a time, so that an index takes
//! no more memory than its largest image.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::digest::Digest;
use super::engine;
use super::error::ImageError;
use super::layer::{Layer, LayerError, Stack};
use super::manifest::{Config, Descriptor, Index, Manifest, Platform, Saved};
use super::registry::{Reference, Registry};
use super::store::{Archive, Store};
use crate::platform::Root;
use crate::platform::file::Part;

/// Indexes in indexes that are followed.
const MOST_NESTED: usize = 4;
/// Images of one index; real ones have a dozen.
const MOST_IMAGES: usize = 256;
/// The kernel's overlay file system takes fewer.
const MOST_LAYERS: usize = 1000;

/// What SOURCE is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-`: an archive on stdin.
    Stdin,
    /// A file: an archive of docker save, or of an OCI layout.
    Archive(PathBuf),
    /// A folder with an OCI layout.
    Layout(PathBuf),
    /// A folder with a root file system.
    Root(PathBuf),
    /// `docker:NAME`: an image of the engine.
    Engine(String),
    /// `registry:HOST/NAME[:TAG|@DIGEST]`.
    Registry(Reference),
}

impl Source {
    /// What a word of the command line names.
    pub fn parse(word: &str) -> Result<Source, ImageError> {
        if word == "-" {
            return Ok(Source::Stdin);
        }
        if let Some(name) = word.strip_prefix("docker:") {
            return match name {
                "" => Err(ImageError::usage("docker: needs the name of an image behind it")),
                name => Ok(Source::Engine(name.to_owned())),
            };
        }
        if let Some(name) = word.strip_prefix("registry:") {
            return Reference::parse(name).map(Source::Registry);
        }
        let path = PathBuf::from(word);
        let meta = path.metadata().map_err(|error| {
            ImageError::usage(format!(
                "{word} is no file or folder here ({error}); an image of the engine is docker:NAME, \
                 one of a registry registry:HOST/NAME"
            ))
        })?;
        Ok(match meta.is_dir() {
            true if path.join("index.json").is_file() && path.join("blobs").is_dir() => {
                Source::Layout(path)
            }
            true => Source::Root(path),
            false => Source::Archive(path),
        })
    }
}

/// What was found in a source.
pub enum Opened {
    /// A root file system, which says nothing of itself.
    Root(Root),
    /// Images.
    Images(Images),
}

/// The images of a source.
pub struct Images {
    store: Store,
    /// In their order.
    pub candidates: Vec<Candidate>,
}

/// An image that can be loaded.
#[derive(Debug)]
pub struct Candidate {
    /// What it is called, where that is written.
    pub name: Option<String>,
    /// What the index says it is for.
    pub platform: Option<Platform>,
    what: What,
}

#[derive(Debug)]
enum What {
    Manifest(Descriptor),
    Saved(Saved),
}

impl Candidate {
    /// The digest of its manifest, where it has one.
    pub fn digest(&self) -> Option<&str> {
        match &self.what {
            What::Manifest(descriptor) => Some(&descriptor.digest),
            What::Saved(_) => None,
        }
    }
}

/// A loaded image.
pub struct Image {
    /// What it is called.
    pub name: Option<String>,
    /// What the index says it is for.
    pub indexed: Option<Platform>,
    /// The manifest's digest.
    pub digest: Option<Digest>,
    /// What it says of itself.
    pub config: Config,
    /// The layers that could be read.
    pub layers: Vec<Layer>,
    /// Its files; `None` where a layer could not be read.
    pub root: Option<Root>,
    /// What is wrong with its blobs: the check's identifier, the subject and what it is.
    pub troubles: Vec<(&'static str, String, String)>,
}

/// Opens a source.
pub fn open(source: &Source) -> Result<Opened, ImageError> {
    let archive = |file: File, what: &str| Archive::open(file, what).map(Store::Archive);
    let store = match source {
        Source::Root(path) => {
            let what = path.display().to_string();
            return Root::at(path).map(Opened::Root).map_err(|error| ImageError::io(&what, &error));
        }
        Source::Layout(path) => Store::Folder(path.clone()),
        Source::Archive(path) => {
            let what = path.display().to_string();
            archive(File::open(path).map_err(|error| ImageError::io(&what, &error))?, &what)?
        }
        Source::Stdin => {
            let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
            archive(File::from(stdin.map_err(|error| ImageError::io("stdin", &error))?), "stdin")?
        }
        Source::Engine(name) => archive(engine::save(name)?, &format!("docker:{name}"))?,
        Source::Registry(reference) => return from_registry(reference),
    };
    let mut images = Images { store, candidates: Vec::new() };
    let is_layout = match &images.store {
        Store::Archive(archive) => archive.has("index.json"),
        _ => true,
    };
    if is_layout {
        let index: Index = parse("index.json", &images.store.small("index.json")?)?;
        let none = Inherited::default();
        images.add_all(&index, &none, 0)?;
    } else if matches!(&images.store, Store::Archive(archive) if archive.has("manifest.json")) {
        let list: Vec<Saved> = parse("manifest.json", &images.store.small("manifest.json")?)?;
        images.candidates = list
            .into_iter()
            .take(MOST_IMAGES)
            .map(|saved| Candidate {
                name: saved.repo_tags.as_ref().and_then(|tags| tags.first().cloned()),
                platform: None,
                what: What::Saved(saved),
            })
            .collect();
    } else {
        return Err(ImageError::usage(
            "the archive has neither index.json nor manifest.json: it is no image. A root file \
             system is verified as a folder",
        ));
    }
    Ok(Opened::Images(images))
}

fn from_registry(reference: &Reference) -> Result<Opened, ImageError> {
    let registry = Registry::new(reference)?;
    let (descriptor, bytes) = registry.top(reference)?;
    let store = Store::Registry(Box::new(registry));
    let mut images = Images { store, candidates: Vec::new() };
    let name = Some(reference.to_string());
    if descriptor.is_index() {
        let index: Index = parse(&descriptor.digest, &bytes)?;
        images.add_all(&index, &Inherited { name, platform: None }, 0)?;
    } else {
        images.candidates.push(Candidate {
            name,
            platform: None,
            what: What::Manifest(descriptor),
        });
    }
    Ok(Opened::Images(images))
}

/// What an index says of all that is in it.
#[derive(Clone, Default)]
struct Inherited {
    name: Option<String>,
    platform: Option<Platform>,
}

impl Images {
    fn add_all(&mut self, index: &Index, from: &Inherited, depth: usize) -> Result<(), ImageError> {
        for descriptor in index.manifests.iter().filter(|one| !one.is_attestation()) {
            let name = descriptor
                .annotation("io.containerd.image.name")
                .or_else(|| descriptor.annotation("org.opencontainers.image.ref.name"))
                .map(str::to_owned);
            let inherited = Inherited {
                name: name.or_else(|| from.name.clone()),
                platform: descriptor.platform.clone().or_else(|| from.platform.clone()),
            };
            if self.candidates.len() >= MOST_IMAGES {
                return Err(ImageError::unfit(format!("it has more than {MOST_IMAGES} images")));
            }
            if descriptor.is_index() {
                if depth >= MOST_NESTED {
                    let text = format!("its indexes are nested more than {MOST_NESTED} deep");
                    return Err(ImageError::unfit(text));
                }
                let inner: Index = parse(&descriptor.digest, &self.store.document(descriptor)?)?;
                self.add_all(&inner, &inherited, depth + 1)?;
                continue;
            }
            let what = What::Manifest(descriptor.clone());
            let Inherited { name, platform } = inherited;
            self.candidates.push(Candidate { name, platform, what });
        }
        Ok(())
    }

    /// What a candidate is for: by the index, else by its own configuration.
    pub fn platform(&self, candidate: &Candidate) -> Result<Platform, ImageError> {
        match &candidate.platform {
            Some(platform) => Ok(platform.clone()),
            None => Ok(self.config(candidate)?.1.platform),
        }
    }

    /// Whether the image is there and not only named: engines keep whole indexes, and of the
    /// images in them those that were pulled.
    pub fn is_there(&self, candidate: &Candidate) -> bool {
        match &candidate.what {
            What::Manifest(descriptor) => self.store.has(descriptor),
            What::Saved(_) => true,
        }
    }

    fn config(&self, candidate: &Candidate) -> Result<(Option<Manifest>, Config), ImageError> {
        match &candidate.what {
            What::Manifest(descriptor) => {
                let bytes = self.store.document(descriptor)?;
                let manifest: Manifest = parse(&descriptor.digest, &bytes)?;
                let bytes = self.store.document(&manifest.config)?;
                let config = parse(&manifest.config.digest, &bytes)?;
                Ok((Some(manifest), config))
            }
            What::Saved(saved) => {
                let bytes = self.store.small(&saved.config)?;
                // Its path has its digest in it.
                let name = Path::new(&saved.config).file_stem().and_then(|name| name.to_str());
                let said = Digest::parse(&format!("sha256:{}", name.unwrap_or_default()));
                if let Some(said) = said.filter(|said| *said != Digest::of(&bytes)) {
                    let text = format!("the configuration does not have the digest {said}");
                    return Err(ImageError::unfit(text));
                }
                Ok((None, parse(&saved.config, &bytes)?))
            }
        }
    }

    /// Loads an image: its configuration and all of its layers.
    pub fn load(&self, candidate: &Candidate) -> Result<Image, ImageError> {
        let (manifest, config) = self.config(candidate)?;
        let mut image = Image {
            name: candidate.name.clone(),
            indexed: candidate.platform.clone(),
            digest: match &candidate.what {
                What::Manifest(descriptor) => Digest::parse(&descriptor.digest),
                What::Saved(_) => None,
            },
            config,
            layers: Vec::new(),
            root: None,
            troubles: Vec::new(),
        };
        let count = match (&candidate.what, &manifest) {
            (What::Saved(saved), _) => saved.layers.len(),
            (_, Some(manifest)) => manifest.layers.len(),
            _ => 0,
        };
        if count > MOST_LAYERS {
            return Err(ImageError::unfit(format!("it has more than {MOST_LAYERS} layers")));
        }
        let mut stack = Stack::default();
        for index in 0..count {
            let (blob, said) = match (&candidate.what, &manifest) {
                (What::Manifest(_), Some(manifest)) => {
                    let Some(descriptor) = manifest.layers.get(index) else { break };
                    (self.store.blob(descriptor)?, Digest::parse(&descriptor.digest))
                }
                (What::Saved(saved), _) => {
                    let Some(path) = saved.layers.get(index) else { break };
                    (self.store.named(path)?, None)
                }
                _ => break,
            };
            if !image.add(&mut stack, index, &blob, said)? {
                return Ok(image);
            }
        }
        if image.config.rootfs.diff_ids.len() != count {
            let text = format!(
                "it has {count} layers, and its configuration has digests of {}",
                image.config.rootfs.diff_ids.len()
            );
            image.troubles.push(("image.digest", "layers".to_owned(), text));
        }
        let tree = stack.into_tree().map_err(|error| ImageError::io("the layers", &error))?;
        image.root = Some(Root::of_image(Rc::new(tree)));
        Ok(image)
    }
}

impl Image {
    /// Lays one layer over the others; `false` where it cannot be read.
    fn add(
        &mut self,
        stack: &mut Stack,
        index: usize,
        blob: &Part,
        said: Option<Digest>,
    ) -> Result<bool, ImageError> {
        let subject = format!("layer {}", index + 1);
        let layer = match stack.add(blob) {
            Ok(layer) => layer,
            Err(LayerError::Spool(error)) => return Err(ImageError::io(&subject, &error)),
            Err(error) => {
                self.troubles.push(("image.layer", subject, error.to_string()));
                return Ok(false);
            }
        };
        if let Some(said) = said.filter(|said| *said != layer.digest) {
            let text = format!("its digest is {}, and should be {said}", layer.digest);
            self.troubles.push(("image.digest", subject.clone(), text));
        }
        let promised = self.config.rootfs.diff_ids.get(index).map(|text| Digest::parse(text));
        let wrong = match promised {
            Some(Some(said)) if said != layer.diff_id => Some(format!(
                "the digest of its archive is {}, and should be {said} by the configuration",
                layer.diff_id
            )),
            Some(None) => Some(
                "what the configuration has as the digest of its archive is no digest".to_owned(),
            ),
            _ => None,
        };
        if let Some(text) = wrong {
            self.troubles.push(("image.digest", subject.clone(), text));
        }
        for remark in &layer.remarks {
            self.troubles.push(("image.layer", subject.clone(), remark.clone()));
        }
        self.layers.push(layer);
        Ok(true)
    }

    /// The labels, which may be none.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let run = self.config.config.as_ref();
        run.and_then(|run| run.labels.clone()).unwrap_or_default()
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::unfit(format!("{what} is not what it should be: {error}")))
}
