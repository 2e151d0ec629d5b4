"""READ-ME-FIRST of a pack: one page that tells a judge what the evidence is, what it shows, and what it does not."""
