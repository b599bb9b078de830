"""Systems that make synthetic items, one file each, found by listing: `TITLE`, `TASKS`, `KEYS`, `TAKES_NEW_MASKS`
where sources may ask for new masks, and functions.

- `check(study, source)` refuses a source that the study's options cannot make;
- `describe(source)` is its title, and `family(source)` that of those that differ in the amount alone, "" without;
- `make(plan, cell, source)` adds the jobs that make its items and gives the last one, whose output lies with them;
- `draft(outline)` gives the sources and the section of `systems` that a drafted study has; without it there is none;
- `judge(plan, cell, sources)` adds the jobs that judge the items, and says what the page shows of them.
"""
