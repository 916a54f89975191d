//! How metadata is spelled in JSON. Written by hand because the derived form of "every other field" copies the whole
//! document through an intermediate value, spec and all.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{FORMAT_VERSION, Metadata, SandboxRecord};
use crate::Status;
use crate::identity::{ProcessIdentity, View, boot_of};

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &FORMAT_VERSION)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("status", &self.status)?;
        if let Some(status) = &self.paused_from {
            map.serialize_entry("paused_from", status)?;
        }
        map.serialize_entry("generation", &self.generation)?;
        map.serialize_entry("revision", &self.revision)?;
        map.serialize_entry("created_at", &self.created_at)?;
        map.serialize_entry("owner", &self.owner)?;
        map.serialize_entry("bundle", &self.bundle)?;
        map.serialize_entry("sandbox", &self.sandbox)?;
        map.serialize_entry("spec", &self.spec)?;
        for (name, value) in &self.unknown {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for SandboxRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(process) = &self.process {
            map.serialize_entry("pid", &process.pid)?;
            map.serialize_entry("start_time", &process.start_time)?;
            if let Some(View { boot, pid_namespace, time_namespace }) = process.view {
                map.serialize_entry("boot", &format_args!("{boot:032x}"))?;
                map.serialize_entry("pid_namespace", &pid_namespace)?;
                map.serialize_entry("time_namespace", &time_namespace)?;
            }
            if let Some(inode) = process.inode {
                map.serialize_entry("pidfd_inode", &inode)?;
            }
        }
        if let Some(data) = &self.data {
            map.serialize_entry("data", data)?;
        }
        for (name, value) in &self.unknown {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Names of fields: the known ones as their place in the list, others as they are.
enum Name {
    Known(usize),
    Other(String),
}

/// Which names are known.
trait Names {
    const KNOWN: &'static [&'static str];
}

/// A name of those that `N` knows.
struct NameOf<N>(Name, PhantomData<N>);

impl<'de, N: Names> Deserialize<'de> for NameOf<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor<N>(PhantomData<N>);

        impl<N: Names> Visitor<'_> for NameVisitor<N> {
            type Value = NameOf<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let known = N::KNOWN.iter().position(|known| *known == text);
                Ok(NameOf(known.map_or_else(|| Name::Other(text.to_owned()), Name::Known), PhantomData))
            }
        }

        deserializer.deserialize_identifier(NameVisitor(PhantomData))
    }
}

/// A field under way, which may come once.
struct Field<T> {
    name: &'static str,
    value: Option<T>,
}

impl<'de, T: Deserialize<'de>> Field<T> {
    const fn new(name: &'static str) -> Self {
        Self { name, value: None }
    }

    fn read<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        if self.value.is_some() {
            return Err(A::Error::duplicate_field(self.name));
        }
        self.value = Some(map.next_value()?);
        Ok(())
    }

    fn required<E: serde::de::Error>(self) -> Result<T, E> {
        self.value.ok_or_else(|| E::missing_field(self.name))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl Names for MetadataVisitor {
    const KNOWN: &'static [&'static str] = &[
        "version",
        "id",
        "status",
        "paused_from",
        "generation",
        "revision",
        "created_at",
        "owner",
        "bundle",
        "sandbox",
        "spec",
    ];
}

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the metadata of a container")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut version = Field::<u64>::new("version");
        let mut id = Field::new("id");
        let mut status = Field::new("status");
        let mut paused_from = Field::<Option<Status>>::new("paused_from");
        let mut generation = Field::new("generation");
        let mut revision = Field::new("revision");
        let mut created_at = Field::new("created_at");
        let mut owner = Field::new("owner");
        let mut bundle = Field::new("bundle");
        let mut sandbox = Field::new("sandbox");
        let mut spec = Field::<Box<RawValue>>::new("spec");
        let mut unknown = Vec::new();
        while let Some(NameOf(name, _)) = map.next_key::<NameOf<Self>>()? {
            match name {
                Name::Known(0) => {
                    version.read(&mut map)?;
                    check_version(version.value.unwrap_or_default())?;
                }
                Name::Known(1) => id.read(&mut map)?,
                Name::Known(2) => status.read(&mut map)?,
                Name::Known(3) => paused_from.read(&mut map)?,
                Name::Known(4) => generation.read(&mut map)?,
                Name::Known(5) => revision.read(&mut map)?,
                Name::Known(6) => created_at.read(&mut map)?,
                Name::Known(7) => owner.read(&mut map)?,
                Name::Known(8) => bundle.read(&mut map)?,
                Name::Known(9) => sandbox.read(&mut map)?,
                Name::Known(_) => spec.read(&mut map)?,
                Name::Other(name) => unknown.push((name, map.next_value()?)),
            }
        }
        version.required()?;
        let metadata = Metadata {
            id: id.required()?,
            spec: spec.required()?,
            bundle: bundle.required()?,
            created_at: created_at.required()?,
            owner: owner.required()?,
            status: status.required()?,
            paused_from: paused_from.value.flatten(),
            sandbox: sandbox.required()?,
            generation: generation.required()?,
            revision: revision.required()?,
            unknown,
        };
        check_sense(&metadata)?;
        Ok(metadata)
    }
}

fn check_version<E: serde::de::Error>(version: u64) -> Result<(), E> {
    match version {
        0 => Err(E::custom("there is no version 0")),
        1..=FORMAT_VERSION => Ok(()),
        _ => Err(E::custom(format_args!("version {version}, but this build reads {FORMAT_VERSION}"))),
    }
}

/// What fields may not say together.
fn check_sense<E: serde::de::Error>(metadata: &Metadata) -> Result<(), E> {
    match (metadata.status, metadata.paused_from) {
        (Status::Paused, Some(Status::Created | Status::Running)) => (),
        (Status::Paused, Some(status)) => {
            return Err(E::custom(format_args!("a container cannot be paused from {status}")));
        }
        (Status::Paused, None) => return Err(E::custom("it is paused, but not from which status")),
        (status, Some(_)) => {
            return Err(E::custom(format_args!("paused_from of a container that is {status}")));
        }
        (_, None) => (),
    }
    if metadata.revision == 0 || metadata.revision == u64::MAX {
        return Err(E::custom(format_args!("revision {} is out of range", metadata.revision)));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for SandboxRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SandboxVisitor)
    }
}

struct SandboxVisitor;

impl Names for SandboxVisitor {
    const KNOWN: &'static [&'static str] =
        &["pid", "start_time", "boot", "pid_namespace", "time_namespace", "pidfd_inode", "data"];
}

impl<'de> Visitor<'de> for SandboxVisitor {
    type Value = SandboxRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record of a sandbox")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SandboxRecord, A::Error> {
        let mut pid = Field::<Option<u32>>::new("pid");
        let mut start_time = Field::<Option<u64>>::new("start_time");
        let mut boot = Field::<Option<String>>::new("boot");
        let mut pid_namespace = Field::<Option<u64>>::new("pid_namespace");
        let mut time_namespace = Field::<Option<u64>>::new("time_namespace");
        let mut inode = Field::<Option<u64>>::new("pidfd_inode");
        let mut data = Field::<Option<Box<RawValue>>>::new("data");
        let mut unknown = Vec::new();
        while let Some(NameOf(name, _)) = map.next_key::<NameOf<Self>>()? {
            match name {
                Name::Known(0) => pid.read(&mut map)?,
                Name::Known(1) => start_time.read(&mut map)?,
                Name::Known(2) => boot.read(&mut map)?,
                Name::Known(3) => pid_namespace.read(&mut map)?,
                Name::Known(4) => time_namespace.read(&mut map)?,
                Name::Known(5) => inode.read(&mut map)?,
                Name::Known(_) => data.read(&mut map)?,
                Name::Other(name) => unknown.push((name, map.next_value()?)),
            }
        }
        let view =
            view_of(boot.value.flatten(), pid_namespace.value.flatten(), time_namespace.value.flatten())?;
        let process = match (pid.value.flatten(), start_time.value.flatten()) {
            (Some(pid), Some(start_time)) => {
                Some(ProcessIdentity { pid, start_time, view, inode: inode.value.flatten() })
            }
            (None, None) => None,
            _ => return Err(A::Error::custom("pid and start_time must come together")),
        };
        Ok(SandboxRecord { process, data: data.value.flatten(), unknown })
    }
}

fn view_of<E: serde::de::Error>(
    boot: Option<String>,
    pid_namespace: Option<u64>,
    time_namespace: Option<u64>,
) -> Result<Option<View>, E> {
    match (boot, pid_namespace, time_namespace) {
        (Some(boot), Some(pid_namespace), Some(time_namespace)) => {
            let number =
                boot_of(&boot).ok_or_else(|| E::custom(format_args!("{boot:?} does not name a boot")))?;
            Ok(Some(View { boot: number, pid_namespace, time_namespace }))
        }
        (None, None, None) => Ok(None),
        _ => Err(E::custom("boot, pid_namespace and time_namespace must come together")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerId, CreateRequest};

    const PROCESS: ProcessIdentity = ProcessIdentity {
        pid: 12,
        start_time: 34,
        view: Some(View { boot: 56, pid_namespace: 78, time_namespace: 90 }),
        inode: Some(21),
    };

    fn sample() -> Metadata {
        let request = CreateRequest::with_spec(&serde_json::json!({"a": [1, 2.50, "x"]})).unwrap();
        let mut metadata = Metadata::new(ContainerId::new("c1").unwrap(), request, 7);
        metadata.sandbox.process = Some(PROCESS);
        metadata.become_status(Status::Paused);
        metadata
    }

    fn sample_json() -> String {
        String::from_utf8(sample().to_json().unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let json = sample_json();
        let read = Metadata::from_json(json.as_bytes()).unwrap();
        assert_eq!(read.to_json().unwrap(), json.into_bytes());
        assert_eq!((read.status, read.paused_from), (Status::Paused, Some(Status::Created)));
        assert_eq!(read.sandbox.process, Some(PROCESS));
    }

    #[test]
    fn the_spec_is_kept_byte_for_byte() {
        for spec in [
            "{ \"b\" : 1.0,\n\t\"a\": 1e400 }",
            "null",
            "\"\\u0041\"",
            "[1 , 2]",
            "123456789012345678901234567890",
        ] {
            let json = sample_json().replace("{\"a\":[1,2.5,\"x\"]}", spec);
            let read = Metadata::from_json(json.as_bytes()).unwrap();
            assert_eq!(read.spec.get(), spec);
            assert_eq!(read.to_json().unwrap(), json.into_bytes());
        }
    }

    #[test]
    fn a_process_without_a_view_is_read_as_an_older_version_wrote_it() {
        let json = sample_json();
        let (from, to) = (json.find(",\"boot\"").unwrap(), json.find(",\"pidfd_inode\"").unwrap());
        let old = format!("{}{}", &json[..from], &json[to..]).replace(",\"pidfd_inode\":21", "");
        let process = Metadata::from_json(old.as_bytes()).unwrap().sandbox.process.unwrap();
        assert_eq!(process, ProcessIdentity { view: None, inode: None, ..PROCESS });
    }

    #[test]
    fn unknown_fields_survive_at_both_levels() {
        let json = sample_json()
            .replacen('{', "{\"labels\":{\"x\" : 1},", 1)
            .replace("\"pid\"", "\"cgroup\":\"/a\",\"pid\"");
        let mut read = Metadata::from_json(json.as_bytes()).unwrap();
        read.become_status(Status::Created);
        let written = String::from_utf8(read.to_json().unwrap()).unwrap();
        assert!(written.contains("\"labels\":{\"x\" : 1}"), "{written}");
        assert!(written.contains("\"cgroup\":\"/a\""), "{written}");
    }

    #[test]
    fn errors_say_what_and_where() {
        let good = sample_json();
        for (bad, why) in [
            (String::new(), "EOF while parsing a value at line 1"),
            (good[..good.len() / 2].to_owned(), "EOF while parsing"),
            (format!("{good}x"), "trailing characters at line 2 column 1"),
            (
                good.replace("\"version\":1", "\"version\":2"),
                "version 2, but this build reads 1 at line 1 column",
            ),
            (good.replace("\"version\":1", "\"version\":0"), "there is no version 0"),
            (good.replace("\"version\":1,", ""), "missing field `version` at line 1 column"),
            (
                good.replace("\"generation\":7", "\"revision\":7"),
                "duplicate field `revision` at line 1 column",
            ),
            (good.replace("\"generation\":7", "\"generation\":-7"), "invalid value: integer `-7`"),
            (good.replace("\"paused\"", "\"zombie\""), "unknown variant `zombie`"),
            (good.replace("\"paused_from\":\"created\",", ""), "not from which status"),
            (
                good.replace("\"paused_from\":\"created\"", "\"paused_from\":\"stopped\""),
                "cannot be paused from stopped",
            ),
            (
                good.replace("\"status\":\"paused\"", "\"status\":\"running\""),
                "paused_from of a container that is running",
            ),
            (good.replace("\"revision\":2", "\"revision\":0"), "revision 0 is out of range"),
            (good.replace("\"id\":\"c1\"", "\"id\":\"../c1\""), "is not a container id"),
            (good.replace("\"start_time\":34", "\"start\":34"), "must come together"),
            (good.replace("\"boot\"", "\"boots\""), "time_namespace must come together"),
            (good.replace("\"pid_namespace\":78,", ""), "time_namespace must come together"),
            (good.replace("\"time_namespace\":90,", ""), "time_namespace must come together"),
            (good.replace("0000000038\"", "\""), "does not name a boot"),
            ("[]".to_owned(), "expected the metadata of a container"),
            (good.replace("\"sandbox\":{", "\"sandbox\":3,\"more\":{"), "expected the record of a sandbox"),
        ] {
            let error = Metadata::from_json(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}\n{error}\n{why}");
        }
    }

    #[test]
    fn nesting_however_deep_does_not_overflow_the_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let json = sample_json().replace("{\"a\":[1,2.5,\"x\"]}", &deep);
        let _ = Metadata::from_json(json.as_bytes());
    }
}
