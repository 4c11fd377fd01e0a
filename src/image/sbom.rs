//! What is in an image as CycloneDX 1.5 JSON (ECMA-424), one document for each platform. There is
//! no time and no random number in it, so that the same image has the same document.

use serde_json::{Value, json};

use super::digest::Digest;
use super::inspect::Inspected;
use super::packages::{Licence, Package};

/// The document, with a line break at its end.
pub fn document(inspected: &Inspected) -> String {
    let components: Vec<Value> = inspected.packages.iter().map(component).collect();
    let name = inspected.name.clone().unwrap_or_else(|| "image".to_owned());
    let layers: Vec<Value> = inspected
        .layers
        .iter()
        .enumerate()
        .map(|(index, (digest, size, _))| {
            json!({
                "type": "file",
                "name": format!("layer {}", index + 1),
                "hashes": hashes(Some(digest)),
                "properties": [{"name": "mak:size", "value": size.to_string()}],
            })
        })
        .collect();
    let mut image = json!({
        "type": "container",
        "name": name,
        "properties": [{"name": "mak:platform", "value": inspected.platform.to_string()}],
        "components": layers,
    });
    if let (Some(digest), Some(fields)) = (&inspected.digest, image.as_object_mut()) {
        fields.insert("version".to_owned(), json!(digest));
        fields.insert("hashes".to_owned(), hashes(Some(digest)));
    }
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": {"components": [{
                "type": "application", "name": "mak", "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": image,
        },
        "components": components,
    });
    format!("{document:#}\n")
}

fn hashes(digest: Option<&String>) -> Value {
    let hex = digest.and_then(|digest| Digest::parse(digest)).map(|digest| digest.hex());
    match hex {
        Some(hex) => json!([{"alg": "SHA-256", "content": hex}]),
        None => json!([]),
    }
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    });
    let licence = match &package.licence {
        Some(Licence::Expression(text)) => json!([{"expression": text}]),
        Some(Licence::Text(text)) => json!([{"license": {"name": text}}]),
        None => return component,
    };
    if let Some(fields) = component.as_object_mut() {
        fields.insert("licenses".to_owned(), licence);
    }
    component
}
