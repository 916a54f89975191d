//! The life of one container, told on stdout: `cargo run -p flockwork --example lifecycle`.

use flockwork::{ContainerId, CreateRequest, Error, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = tempfile::tempdir()?;
    let store = Store::options().open(root.path())?;
    let id: ContainerId = "web".parse()?;

    let spec = serde_json::json!({"command": ["sleep", "1000"]});
    println!("create:   {}", store.create(&id, CreateRequest::with_spec(&spec)?)?);

    let web = store.container(&id);
    println!("start:    {}", web.start()?);
    println!("pause:    {}", web.pause()?);

    // Whoever comes too late is told what it is too late for, and nothing is changed.
    match web.pause() {
        Err(error @ Error::WrongStatus { .. }) => println!("pause:    refused: {error}"),
        other => println!("pause:    {other:?}"),
    }

    println!("resume:   {}", web.resume()?);
    println!("on disk:  {}", std::fs::read_to_string(root.path().join("web/meta.json"))?.trim_end());
    println!("kill:     {}", web.kill()?);
    let tombstone = web.delete()?;
    println!("delete:   generation {}, revision {}", tombstone.generation, tombstone.revision);
    println!("list:     {:?}", store.list()?.ids);
    Ok(())
}
