"""Sections of the page, found by listing: `ORDER`, and `build(results, folder)`, None without evidence."""
