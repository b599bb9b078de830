"""Sections of the page, one file each, found by listing: `ORDER`, and `build(results, folder)`, None without "
"evidence."""
