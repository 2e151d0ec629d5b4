"""Reports for a case file: one page that holds everything, as HTML and as PDF."""
