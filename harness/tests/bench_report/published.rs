//! What docs/locks.md shows is there, and stays small.

use std::fs;
use std::path::Path;

#[test]
fn the_document_shows_what_is_published() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(repository.join("docs/locks.md")).unwrap();
    let links: Vec<&str> =
        document.split("](../").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() >= 10, "charts: {links:?}");
    for link in links {
        let text =
            fs::read_to_string(repository.join(link)).unwrap_or_else(|error| panic!("{link}: {error}"));
        roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{link}: {error}"));
    }
    let blocks = document.split("\n<!-- ").skip(1).filter(|block| !block.starts_with("end"));
    for block in blocks {
        let (asked, shown) = block.split_once("-->").unwrap();
        assert!(shown.trim().len() > 20 && shown.contains(' '), "nothing was filled in for {asked}");
    }
    let files = fs::read_dir(repository.join("results/published")).unwrap();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 2_000_000, "{size} bytes are published");
}
