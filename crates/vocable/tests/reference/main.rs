//! docs/reference/vocable.md is what the program says of itself.

mod page;

#[test]
fn the_page_of_the_command_line_is_true() {
    page::hold("reference/vocable.md", &page::command_line(env!("CARGO_BIN_EXE_vocable"), "vocable"));
}
