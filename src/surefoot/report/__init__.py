"""Results for people: evaluations, comparisons, verdicts in words, tables, figures, the page."""
