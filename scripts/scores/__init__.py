"""What evaluations and experiments leave behind: tables, evidence on synthetic sets, and the results of a study."""
